# What must pass before a change is taken.
ci:
    .ci/run

# All tests; `just test --long` for the long forms.
test *args:
    tests/run {{args}}

# Whole runs against other programs; see benches/README.md.
bench *args:
    cargo bench --bench whole -- {{args}}

# Debian and RPM packages and a tarball, in target/packages.
package *args:
    packaging/package {{args}}

# Lints as in CI.
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
