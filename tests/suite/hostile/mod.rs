mod crafted_journals;
mod data_root;
mod inputs;
mod tree;
