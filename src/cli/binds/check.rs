//! `idshift check --compose` and `--run`: every bind of every service, as its user.

use std::path::PathBuf;

use console::style;
use serde::Serialize;

use super::{KnownService, words};
use crate::cli::args::CheckArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::say;
use crate::cli::output::text::{columns, count, one_line, path};
use crate::idmap::IdMap;
use crate::volume::binds::sources::{
    Allowed, Use, check_within, missing_of_host, not_made, one_owner_each,
};
use crate::volume::binds::{Bind, OtherMount};
use crate::volume::check::{CheckRequest, Checked, check};
use crate::volume::user::ContainerUser;

/// A bind that was tried.
#[derive(Serialize)]
struct TriedBind {
    #[serde(flatten)]
    bind: Bind,
    /// The user can do all of it.
    works: bool,
    /// What was tried; `None` where the path cannot be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Checked>,
    /// Why it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The path is not there.
    is_missing: bool,
}

/// A service, tried.
#[derive(Serialize)]
struct TriedService {
    service: String,
    image: Option<String>,
    #[serde(rename = "as")]
    user: Option<ContainerUser>,
    binds: Vec<TriedBind>,
    other_mounts: Vec<OtherMount>,
}

/// Tries all of them, and prints one table.
///
/// # Errors
/// Something is not known.
pub fn run(
    args: &CheckArgs,
    invocation: &mut Invocation,
    (map, map_words): (IdMap, String),
    (data_root, data_root_words): (PathBuf, String),
) -> Result<Exit, Failure> {
    let services = super::services(&args.binds, data_root, &map)?;
    let tried: Vec<TriedService> = services
        .into_iter()
        .map(|service| try_service(service, args, &map, &map_words))
        .collect();
    let all = || tried.iter().flat_map(|service| &service.binds);
    let sources: Vec<PathBuf> = all().map(|tried| tried.bind.source.clone()).collect();
    invocation.set_roots(&sources);
    let works = all().all(|bind| bind.works);
    if args.output.json {
        let services = serde_json::to_value(&tried).map_err(Failure::refused)?;
        invocation.print(
            "done",
            serde_json::json!({"services": services, "works": works}),
        );
    } else if !args.output.quiet {
        let words = format!("{map_words}{}{data_root_words}", words(&args.binds));
        print(&tried, &words);
    }
    Ok(match works {
        true => Exit::Done,
        false => Exit::SomeLeft,
    })
}

fn try_service(
    known: KnownService,
    args: &CheckArgs,
    map: &IdMap,
    map_words: &str,
) -> TriedService {
    let KnownService { service, user } = known;
    let try_bind = |bind: Bind| {
        let request = CheckRequest {
            path: bind.source.clone(),
            user: user.clone().unwrap_or(ContainerUser::ROOT),
            map: map.clone(),
            read_only: bind.read_only,
            recursive: args.recursive,
            old_runtime: args.old_runtime,
            map_words: map_words.to_string(),
        };
        let is_missing = bind
            .source
            .symlink_metadata()
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        let is_to_be_made_first =
            is_missing && !bind.creates_source && missing_of_host(&bind.source).is_none();
        let result = match is_to_be_made_first {
            true => Err(not_made(&bind, &service.name)),
            false => check_within(&bind).and_then(|()| check(&request)),
        };
        let (check, error) = match result {
            Ok(checked) => (Some(checked), None),
            Err(error) => (None, Some(error.to_string())),
        };
        TriedBind {
            works: check.as_ref().is_some_and(Checked::works),
            bind,
            check,
            error,
            is_missing,
        }
    };
    TriedService {
        binds: service.binds.iter().cloned().map(try_bind).collect(),
        service: service.name,
        image: service.image,
        user: user.clone(),
        other_mounts: service.other_mounts,
    }
}

fn print(services: &[TriedService], words: &str) {
    let mut rows = vec![
        ["SERVICE", "HOST PATH", "CONTAINER PATH", "USER", "RESULT"]
            .map(String::from)
            .to_vec(),
    ];
    for service in services {
        let user = service.user.as_ref().map(ToString::to_string);
        for tried in &service.binds {
            rows.push(vec![
                one_line(&service.service),
                path(&tried.bind.source),
                one_line(&tried.bind.target),
                user.clone().unwrap_or_default(),
                result(tried),
            ]);
        }
    }
    match rows.len() {
        1 => say!("No service binds a host path."),
        _ => say!("{}", columns(&rows).trim_end()),
    }
    for service in services {
        for other in &service.other_mounts {
            let (what, target) = (one_line(&other.what), one_line(&other.target));
            say!(
                "  {}  {target} is not a host path: {what}",
                one_line(&service.service)
            );
        }
    }
    let remedies = remedies(services, words);
    if !remedies.is_empty() {
        say!("\nWhat helps:");
    }
    for remedy in remedies {
        say!("  {}", one_line(&remedy));
    }
}

/// `can use it`, or what fails first.
fn result(tried: &TriedBind) -> String {
    let verb = if tried.bind.read_only { "read" } else { "use" };
    let Some(checked) = &tried.check else {
        let why = match tried.is_missing {
            true => "is not there",
            false => "cannot be opened",
        };
        return style(why).red().to_string();
    };
    if tried.works {
        return style(format!("can {verb} it")).green().to_string();
    }
    let failed = checked.steps.iter().find_map(|step| {
        let error = step.error.as_ref()?;
        Some(format!("{}: {error}", step.step))
    });
    let why = failed.unwrap_or_else(|| match checked.is_cut_off() {
        true => "a directory above is closed".into(),
        false => match checked.unusable_total {
            1 => "1 entry below cannot be used".into(),
            n => format!("{} entries below cannot be used", count(n)),
        },
    });
    style(format!("cannot {verb} it: {}", one_line(&why)))
        .red()
        .to_string()
}

/// Each once; and one command for all that `idshift prepare` does.
fn remedies(services: &[TriedService], words: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let (mut is_prepared, mut is_made, mut parents) = (false, false, false);
    for tried in services.iter().flat_map(|service| &service.binds) {
        let mut helps = match &tried.check {
            Some(checked) if !tried.works => checked.remedies.clone(),
            Some(_) => Vec::new(),
            None if tried.is_missing
                && tried.bind.creates_source
                && missing_of_host(&tried.bind.source).is_none() =>
            {
                is_made = true;
                Vec::new()
            }
            None => tried.error.iter().cloned().collect(),
        };
        parents |= helps.iter().any(|help| help.contains("--fix-parents"));
        helps.retain(|help| {
            // What is shared is not given away with the rest.
            let is_ours = help.starts_with("idshift prepare") && !help.contains(" --share ");
            is_prepared |= is_ours;
            !is_ours
        });
        for help in helps {
            if !all.contains(&help) {
                all.push(help);
            }
        }
    }
    if is_prepared || is_made {
        let create = if is_made { " --create" } else { "" };
        let parents = if parents { " --fix-parents" } else { "" };
        let command = format!("idshift prepare{words}{create}{parents}");
        all.insert(0, why_not_prepared(services, is_made).unwrap_or(command));
    }
    all
}

/// What `idshift prepare` of all these services says, where it refuses.
fn why_not_prepared(services: &[TriedService], create: bool) -> Option<String> {
    let of_service = |service: &TriedService| {
        let user = service.user.clone().unwrap_or(ContainerUser::ROOT);
        let name = service.service.clone();
        let one = move |tried: &TriedBind| Use {
            service: name.clone(),
            bind: tried.bind.clone(),
            user: user.clone(),
            left: None,
        };
        service.binds.iter().map(one).collect::<Vec<_>>()
    };
    let mut uses: Vec<Use> = services.iter().flat_map(of_service).collect();
    let allowed = Allowed {
        system_path: false,
        cross_mounts: false,
        create,
        share: false,
    };
    one_owner_each(&mut uses, allowed)
        .err()
        .map(|error| error.to_string())
}
