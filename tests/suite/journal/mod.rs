mod commands;
mod damaged;
mod missing_trees;
mod old_formats;
mod rollback;
