//! What holds in the container image where nothing else is said: where data lies, and where clients are.
//!
//! The image says what it is by the variable `OTTLA_IMAGE`. It is made to stand where another image stood, so that
//! the folders which other images keep data and configuration in are found when something is mounted there.

use std::path::{Path, PathBuf};

use super::static_config::StaticConfig;

/// Set in the image, to anything.
pub(super) const VARIABLE: &str = "OTTLA_IMAGE";

/// The image's own volume, at the path of Apache's and Confluent's.
const DATA: &str = "/var/lib/kafka/data";
/// Where Bitnami's image keeps data, and what is mounted there or above.
const BITNAMI_DATA: &str = "/bitnami/kafka/data";
const BITNAMI_MOUNTS: &[&str] = &["/bitnami/kafka/data", "/bitnami/kafka", "/bitnami"];
/// Properties files that Apache's and Bitnami's image read when they are mounted.
const FILES: &[&str] = &["/mnt/shared/config/server.properties", "/bitnami/kafka/config/server.properties"];

/// A properties file that was mounted where another image looks for it.
pub(super) fn mounted_file() -> Option<PathBuf> {
    FILES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Values for what `config` leaves open; `mounts` is the text of /proc/self/mountinfo.
pub(super) fn defaults(config: &StaticConfig, mounts: &str) -> Vec<(&'static str, &'static str)> {
    let is_open = |names: &[&str]| names.iter().all(|name| config.value(name).is_none());
    let is_broker = config.value("process.roles").is_none_or(|roles| roles.contains("broker"));
    let mut defaults = Vec::new();
    if is_open(&["log.dirs", "log.dir"]) {
        let is_mounted = BITNAMI_MOUNTS.iter().any(|path| is_mount_point(mounts, Path::new(path)));
        defaults.push(("log.dirs", if is_mounted { BITNAMI_DATA } else { DATA }));
    }
    // A container's own name means nothing outside; whoever maps the port connects to their own machine.
    if is_broker && is_open(&["listeners", "advertised.listeners"]) {
        defaults.push(("advertised.listeners", "PLAINTEXT://localhost:9092"));
    }
    if is_open(&["ottla.http.listener"]) {
        defaults.push(("ottla.http.listener", "0.0.0.0:9404"));
    }
    defaults
}

/// The mount point is the fifth field of a line.
fn is_mount_point(mounts: &str, path: &Path) -> bool {
    mounts.lines().filter_map(|line| line.split_ascii_whitespace().nth(4)).any(|mounted| Path::new(mounted) == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERLAY: &str = "562 486 0:49 / / rw,relatime - overlay overlay rw\n";

    #[test]
    fn data_goes_to_the_volume_and_clients_to_the_mapped_port() {
        let defaults = defaults(&StaticConfig::default(), OVERLAY);
        assert_eq!(
            defaults,
            [
                ("log.dirs", "/var/lib/kafka/data"),
                ("advertised.listeners", "PLAINTEXT://localhost:9092"),
                ("ottla.http.listener", "0.0.0.0:9404")
            ]
        );
    }

    #[test]
    fn a_volume_mounted_for_bitnamis_image_is_used() {
        for mounted in BITNAMI_MOUNTS {
            let mounts = format!("{OVERLAY}570 562 8:1 /volumes/a/_data {mounted} rw - ext4 /dev/a rw\n");
            assert_eq!(defaults(&StaticConfig::default(), &mounts)[0], ("log.dirs", "/bitnami/kafka/data"));
        }
        let elsewhere = format!("{OVERLAY}570 562 8:1 / /bitnami/kafka/config rw - ext4 /dev/a rw\n");
        assert_eq!(defaults(&StaticConfig::default(), &elsewhere)[0], ("log.dirs", "/var/lib/kafka/data"));
    }

    #[test]
    fn what_is_said_elsewhere_stays() {
        let config = StaticConfig::from_overrides(&[
            ("log.dir", "/data"),
            ("listeners", "PLAINTEXT://:9092"),
            ("ottla.http.listener", ""),
        ]);
        assert_eq!(defaults(&config, OVERLAY), []);
        let config = StaticConfig::from_overrides(&[
            ("process.roles", "controller"),
            ("log.dirs", "/data"),
            ("ottla.http.listener", "127.0.0.1:1"),
        ]);
        assert_eq!(defaults(&config, OVERLAY), []);
    }
}
