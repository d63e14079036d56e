//! `ottla tools link`.

use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use super::options::Tool;

/// Makes a link for each tool, with and without `.sh`. A link that is there is made anew; another file is left alone.
pub(super) fn make(directory: &Path, tools: &[&Tool]) -> ExitCode {
    match make_all(directory, tools) {
        Ok(made) => {
            println!("made {made} links in {}", directory.display());
            ExitCode::SUCCESS
        }
        Err((path, error)) => {
            eprintln!("ottla: cannot make {path}: {error}. Name a folder that you may write to.");
            ExitCode::FAILURE
        }
    }
}

fn make_all(directory: &Path, tools: &[&Tool]) -> Result<usize, (String, io::Error)> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error| (path, error)
    };
    let binary = env::current_exe().map_err(at(Path::new("a link")))?;
    fs::create_dir_all(directory).map_err(at(directory))?;
    for name in tools.iter().flat_map(|tool| [tool.name.to_owned(), format!("{}.sh", tool.name)]) {
        let link = directory.join(name);
        if fs::symlink_metadata(&link).is_ok_and(|found| found.is_symlink()) {
            fs::remove_file(&link).map_err(at(&link))?;
        }
        symlink(&binary, &link).map_err(at(&link))?;
    }
    Ok(tools.len() * 2)
}
