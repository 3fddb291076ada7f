//! Services that a remapped daemon does not start, because they share namespaces with the host.

use crate::docker::container::{self, Container};
use crate::volume::binds::Service;

/// Of each service, why it does not start remapped.
pub(super) fn obstacles(services: &[Service]) -> Vec<Option<String>> {
    let containers: Vec<Container> = services.iter().map(container_of).collect();
    container::obstacles(&containers)
}

/// As Docker would have its container. Podman's rules are others.
fn container_of(service: &Service) -> Container {
    if service.is_podman {
        return Container::default();
    }
    let shared = service.namespaces.clone();
    let userns_mode = if service.uses_host_ids { "host" } else { "" };
    Container {
        name: service.name.clone(),
        privileged: shared.privileged,
        network_mode: shared.network,
        pid_mode: shared.pid,
        ipc_mode: shared.ipc,
        renamed_device: shared.renamed_device,
        userns_mode: userns_mode.into(),
        ..Container::default()
    }
}
