#![no_main]

#[path = "../../tests/suite/support/inputs.rs"]
#[allow(dead_code, reason = "each target uses its own function")]
mod inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::notation(bytes));
