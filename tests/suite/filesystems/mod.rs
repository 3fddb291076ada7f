mod attributes;
mod borders;
mod fuse;
mod idmapped_mounts;
mod kinds;
mod mount_views;
mod mounts_meanwhile;
mod not_given_back;
