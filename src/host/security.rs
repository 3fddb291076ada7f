//! SELinux and AppArmor.

use super::Finding;

/// Which are active, and what they ask for.
pub fn findings() -> Vec<Finding> {
    let mut findings = Vec::new();
    match std::fs::read_to_string("/sys/fs/selinux/enforce").as_deref() {
        Ok("1") => findings.push(
            Finding::warning(
                "SELinux",
                "enforcing: a bind mount also needs a label that containers may use",
            )
            .remedy("docker run -v SOURCE:TARGET:Z"),
        ),
        Ok(_) => findings.push(Finding::ok("SELinux", "permissive")),
        Err(_) => findings.push(Finding::ok("SELinux", "not active")),
    }
    let apparmor = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    findings.push(match apparmor.as_deref().map(str::trim) {
        Ok("Y") => Finding::ok(
            "AppArmor",
            "active; Docker's own profile lets volumes be used",
        ),
        _ => Finding::ok("AppArmor", "not active"),
    });
    findings
}
