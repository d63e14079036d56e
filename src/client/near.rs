//! Names that look like a mistyped one.

/// How alike two names must be, from 0 to 1.
const ALIKE: f64 = 0.8;

/// How many names are told.
const TOLD_MAX: usize = 3;

/// Those of `candidates` that look like `name`, the nearest first.
pub fn names_near<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let alike = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        match candidate.contains(&wanted) || wanted.contains(&candidate) {
            true if wanted.len().min(candidate.len()) >= 3 => 0.99,
            _ => strsim::jaro_winkler(&wanted, &candidate),
        }
    };
    let mut near: Vec<(f64, &str)> = candidates.map(|candidate| (alike(candidate), candidate)).collect();
    near.retain(|(likeness, _)| *likeness >= ALIKE);
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.into_iter().take(TOLD_MAX).map(|(_, candidate)| candidate.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_name_and_strangers_do_not() {
        let topics = ["orders", "orders-eu", "payments", "x"];
        let near = |name: &str| names_near(name, topics.into_iter());
        assert_eq!(near("ordres"), ["orders", "orders-eu"]);
        assert_eq!(near("Payments"), ["payments"]);
        assert_eq!(near("zzz"), Vec::<String>::new());
        assert_eq!(near("eu"), Vec::<String>::new());
    }
}
