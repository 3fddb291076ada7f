mod completion;
mod doctor;
mod output;
mod preflight;
mod progress;
mod refusals;
mod texts;
