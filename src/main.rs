//! The binary `ottla`: everything it does is in the library.

use std::process::ExitCode;

/// The system's allocator costs more time per record.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ottla::cli::run()
}
