mod completion;
mod doctor;
mod output;
mod packages;
mod preflight;
mod progress;
mod refusals;
mod texts;
