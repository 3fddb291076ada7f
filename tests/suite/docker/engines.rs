//! The same scenario on every engine: a host with one of everything goes into userns-remap and back.

use crate::support::engine_host::Release;
use crate::support::engine_scenario::{Scenario, Store};
use crate::support::{long, need_root};

#[test]
fn docker_20_with_overlay2() {
    need_root();
    Scenario::new(Release::Bookworm, Store::Overlay2).play();
}

#[test]
fn docker_26_with_overlay2() {
    need_root();
    Scenario::new(Release::Trixie, Store::Overlay2).play();
}

#[test]
fn docker_28_with_overlay2() {
    need_root();
    if long() {
        Scenario::new(Release::Forky, Store::Overlay2).play();
    }
}

#[test]
fn docker_26_with_the_containerd_store() {
    need_root();
    if long() {
        Scenario::new(Release::Trixie, Store::Containerd).play();
    }
}

#[test]
fn docker_28_with_the_containerd_store() {
    need_root();
    if long() {
        Scenario::new(Release::Forky, Store::Containerd).play();
    }
}
