//! `idshift completions`, and what packages are made with.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// `idshift completions`
#[derive(Debug, Args)]
#[command(
    after_help = "Completes commands, options, journals, containers, images and users of this host. The packages of idshift install it.\n\n\
    Examples:\n  \
    idshift completions bash > /etc/bash_completion.d/idshift\n  \
    idshift completions zsh > /usr/local/share/zsh/site-functions/_idshift\n  \
    idshift completions fish > /etc/fish/completions/idshift.fish"
)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "bash|zsh|fish", value_enum, hide_possible_values = true)]
    pub shell: Shell,
}

/// `idshift man`; for packages
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Directory for the pages, which is made
    pub dir: PathBuf,
}
