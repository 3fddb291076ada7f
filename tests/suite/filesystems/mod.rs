mod borders;
mod fuse;
mod kinds;
mod mount_views;
mod not_given_back;
