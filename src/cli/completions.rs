//! `ottla completions`.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Arguments;
use super::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  source <(ottla completions bash)
      For this bash; put the line into ~/.bashrc for all.
  ottla completions zsh > ~/.zfunc/_ottla
  ottla completions fish > ~/.config/fish/completions/ottla.fish";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "ottla", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}
