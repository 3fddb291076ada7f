//! The two ways to migrate: by changing owners, and by a mount.

use crate::cli::output::text::{bytes, columns, count, one_line, path};
use crate::cli::output::{say, say_sentences};
use crate::docker::audit::strategies::Strategy;
use crate::docker::idmapped::exchanged_data::{ExchangedData, ExchangedKind};

/// The two strategies, side by side.
pub(super) fn print(strategies: &[Strategy]) {
    let [owners, mount] = strategies else {
        return;
    };
    let row =
        |what: &str, of: &dyn Fn(&Strategy) -> String| vec![what.into(), of(owners), of(mount)];
    let time = |strategy: &Strategy| match strategy.seconds {
        seconds if seconds < 1.0 => "under 1 s".to_string(),
        seconds => format!("about {seconds:.0} s"),
    };
    let rows = [
        row("", &|strategy| strategy.command.clone()),
        row("daemon stopped", &time),
        row("journal", &|strategy| bytes(strategy.journal_bytes)),
        row("possible here", &|strategy| match &strategy.refused {
            Some(_) => "no, see below".into(),
            None => "yes".into(),
        }),
        row("owners in backups", &|strategy| strategy.backups.clone()),
        row("quotas count", &|strategy| strategy.quotas.into()),
        row("going back", &|strategy| strategy.going_back.into()),
        row("needed at boot", &|strategy| strategy.needs.clone()),
    ];
    say!("\nThe two ways: change the owners on disk, or mount");
    say!("{}", columns(&rows).trim_end());
    for strategy in strategies {
        if let Some(why) = &strategy.refused {
            say_sentences!("  {} cannot: {}", strategy.command, one_line(why));
        }
    }
    exchanged(&mount.exchanged);
}

/// What a mount would show with other owners than its users expect.
fn exchanged(all: &[ExchangedData]) {
    if all.is_empty() {
        return;
    }
    let header = ["path", "what", "inodes", "on disk", "seen as"];
    let mut rows = vec![header.map(String::from).to_vec()];
    for data in all {
        rows.push(vec![
            path(&data.path),
            match data.kind {
                ExchangedKind::NotOfDocker => "not Docker's".into(),
                ExchangedKind::InRange => "in the range already".into(),
            },
            count(data.inodes),
            data.on_disk.clone(),
            data.seen_as.clone(),
        ]);
    }
    say!("\nBy a mount, these would be seen with other owners:");
    say!("{}", columns(&rows).trim_end());
    if all
        .iter()
        .any(|data| data.kind == ExchangedKind::NotOfDocker)
    {
        say_sentences!(
            "  Files that are not Docker's move with the data-root: move them out of it first if the host uses them."
        );
    }
    if all.iter().any(|data| data.kind == ExchangedKind::InRange) {
        say_sentences!(
            "  Files that have an id of the range already are seen as nobody (65534) in containers. `docker migrate` without \
             --idmapped cannot express that, and stops at them."
        );
    }
}
