//! Words with few spellings: choosing one, and guessing which was meant.
//!
//! Pure text. Used for keys and values of the config alike.

/// The value that `word` stands for.
///
/// # Errors
/// One sentence with the allowed words, and the likely one first.
pub(super) fn choose<T: Copy>(what: &str, word: &str, allowed: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = allowed.iter().find(|(name, _)| *name == word) {
        return Ok(*value);
    }
    let names: Vec<&str> = allowed.iter().map(|(name, _)| *name).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let all = quoted.join(", ");
    Err(match closest(word, &names) {
        Some(meant) => {
            format!("unknown {what} \"{word}\"; did you mean \"{meant}\"? Write one of {all}")
        }
        None => format!("unknown {what} \"{word}\"; write one of {all}"),
    })
}

/// The candidate that is probably meant, if one is near enough.
pub(super) fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let near = |name: &&str| {
        let longer = word.chars().count().max(name.chars().count());
        // A third of the letters: enough for a swap in "link", too little for
        // another word of that length.
        let limit = longer.div_ceil(3).min(3);
        Some(distance(&word, name)).filter(|&steps| steps <= limit)
    };
    let scored = candidates.iter().filter_map(|name| near(name).map(|steps| (steps, *name)));
    scored.min_by_key(|(steps, _)| *steps).map(|(_, name)| name)
}

/// Letters to insert, remove or replace to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshtein() {
        for (a, b, steps) in [
            ("", "", 0),
            ("", "abc", 3),
            ("name", "nmae", 2),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(a, b), steps, "{a} {b}");
            assert_eq!(distance(b, a), steps, "{b} {a}");
        }
    }

    #[test]
    fn near_words_are_guessed_and_far_ones_are_not() {
        let keys = ["name", "link", "mode", "address", "mtu", "role", "runtime_dir"];
        assert_eq!(closest("nmae", &keys), Some("name"));
        assert_eq!(closest("lnik", &keys), Some("link"));
        assert_eq!(closest("MTU", &keys), Some("mtu"));
        assert_eq!(closest("adress", &keys), Some("address"));
        assert_eq!(closest("runtime-dir", &keys), Some("runtime_dir"));
        for far in ["vlan", "x", "speed", "queues"] {
            assert_eq!(closest(far, &keys), None, "{far}");
        }
    }
}
