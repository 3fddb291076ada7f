mod crafted_journals;
mod data_root;
mod data_root_adversary;
mod data_root_in_use;
mod file_as_tree;
mod inputs;
mod tree;
