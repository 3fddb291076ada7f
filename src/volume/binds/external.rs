//! Asks `docker compose config`, where it is installed: it resolves files as `docker compose up` does, and needs no daemon.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::compose::yaml::MOST_BYTES;
use super::compose::{Input, Selection, resolve, shown};
use super::files::{absolute, project_dir};
use super::{BindsError, Service};

/// How long to wait for it: a remote file may never arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// The services of Compose files, as `docker compose` resolves them; `None` where it is not installed.
///
/// # Errors
/// Its errors about the files; or a variable that is not set and would be part of a bind or a user.
pub fn ask_docker_compose(
    files: &[PathBuf],
    wanted: &Selection,
) -> Result<Option<Vec<Service>>, BindsError> {
    let files: Vec<PathBuf> = files
        .iter()
        .map(|file| absolute(file))
        .collect::<Result<_, _>>()?;
    let file = files.first().map(|file| shown(file)).unwrap_or_default();
    if !is_installed() {
        return Ok(None);
    }
    let first = config(&files, wanted, &[]).map_err(|reason| BindsError::new(&file, reason))?;
    let unset = unset_variables(&first.stderr);
    if unset.is_empty() {
        return services(&files, &first.stdout, wanted, &unset).map(Some);
    }
    // Compose takes nothing for them. Whether that matters is seen by giving them a value.
    let again = config(&files, wanted, &unset).map_err(|_| {
        let reason = format!(
            "{}. Docker Compose cannot resolve it without",
            not_set(&unset)
        );
        BindsError::new(&file, reason)
    })?;
    services(&files, &again.stdout, wanted, &unset).map(Some)
}

/// The marked value for a variable that is not set.
fn sentinel(variable: &str) -> String {
    format!("idshift-not-set-{variable}-")
}

fn not_set(variables: &[String]) -> String {
    format!(
        "the variable {} is not set. Set it in .env beside the file or in the environment (sudo drops it: `sudo {}=… idshift …`)",
        variables.join(", "),
        variables.first().map_or("", String::as_str)
    )
}

fn is_installed() -> bool {
    let asked = Command::new("docker")
        .args(["compose", "version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// What a child printed.
struct Printed {
    stdout: String,
    stderr: String,
}

fn config(files: &[PathBuf], wanted: &Selection, unset: &[String]) -> Result<Printed, String> {
    let mut command = Command::new("docker");
    command.arg("compose");
    for file in files {
        command.arg("-f").arg(file);
    }
    for profile in &wanted.profiles {
        command.args(["--profile", profile]);
    }
    command.args(["config", "--format", "json", "--"]);
    command.args(&wanted.services);
    for variable in unset {
        command.env(variable, sentinel(variable));
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("docker: {error}"))?;
    let (printed, succeeded) = output(child)?;
    match succeeded {
        true => Ok(printed),
        false => {
            let said: Vec<&str> = printed
                .stderr
                .lines()
                .filter(|it| !it.contains("level=warning"))
                .collect();
            Err(format!("`docker compose config`: {}", said.join("; ")))
        }
    }
}

/// Reads what a child prints, to its end, of so much and for so long.
fn output(mut child: Child) -> Result<(Printed, bool), String> {
    let read = |from: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(from) = from {
                let _ = from.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(child.stdout.take().map(|it| Box::new(it) as _));
    let stderr = read(child.stderr.take().map(|it| Box::new(it) as _));
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("`docker compose config` does not end".into());
            }
            Err(error) => return Err(format!("docker: {error}")),
        }
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    Ok((Printed { stdout, stderr }, status.success()))
}

/// The variables of `The "NAME" variable is not set. Defaulting to a blank string.`
fn unset_variables(stderr: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (at, _) in stderr.match_indices(" variable is not set") {
        let before = stderr[..at].trim_end_matches(['"', '\\']);
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let start = before
            .rfind(|letter| !is_part(letter))
            .map_or(0, |at| at + 1);
        let name = before[start..].to_string();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Reads its JSON, which is YAML: paths are absolute, and a dollar sign is written `$$`.
fn services(
    files: &[PathBuf],
    json: &str,
    wanted: &Selection,
    unset: &[String],
) -> Result<Vec<Service>, BindsError> {
    let read = |_: &Path| Ok(json.to_string());
    let dir = project_dir(files);
    let input = Input {
        files: &files[..1],
        read: &read,
        lookup: &|_| None,
        home: None,
        dir: &dir,
    };
    let all = Selection {
        profiles: vec!["*".into()],
        services: wanted.services.clone(),
    };
    // Lines of what was printed help nobody.
    let services = resolve(&input, &all).map_err(|error| BindsError {
        line: None,
        ..error
    })?;
    for service in &services {
        let text = format!("{service:?}");
        for variable in unset {
            if text.contains(&sentinel(variable)) {
                let reason = format!(
                    "service {:?}: {}",
                    service.name,
                    not_set(std::slice::from_ref(variable))
                );
                return Err(BindsError::new(&shown(&files[0]), reason));
            }
        }
    }
    Ok(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_variables_are_found_in_warnings() {
        let stderr = "time=\"x\" level=warning msg=\"The \\\"A_1\\\" variable is not set. Defaulting to a blank string.\"\n\
                      WARN[0000] The \"B\" variable is not set. Defaulting to a blank string.\n\
                      WARN[0000] The \"B\" variable is not set.\n";
        assert_eq!(unset_variables(stderr), ["A_1", "B"]);
    }
}
