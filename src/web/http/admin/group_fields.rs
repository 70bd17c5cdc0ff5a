//! The groups of an account in a form: a box for each group that a share names, and a field for others.

use std::collections::BTreeMap;

/// The groups in a form, for its template.
#[derive(Clone, Debug, Default)]
pub struct GroupFields {
    /// The groups that the shares name, and whether each is chosen.
    pub boxes: Vec<(String, bool)>,
    /// The other groups, separated by spaces.
    pub others: String,
}

impl GroupFields {
    /// Distributes the groups in `chosen`, which are separated by spaces, to the boxes of `known` groups and the field.
    pub(crate) fn new(chosen: &str, known: Vec<String>) -> GroupFields {
        let others: Vec<&str> =
            chosen.split_whitespace().filter(|group| !known.iter().any(|one| one == group)).collect();
        let others = others.join(" ");
        let is_chosen = |group: &String| chosen.split_whitespace().any(|one| one == group);
        let boxes = known.into_iter().map(|group| (group.clone(), is_chosen(&group))).collect();
        GroupFields { boxes, others }
    }
}

/// Returns the fields of a form by name, with the boxes (`group`, any number of them) joined to the field `groups`.
///
/// # Errors
/// If a field other than those in `names` is there, or one of them twice.
pub(crate) fn joined(
    fields: Vec<(String, String)>,
    names: &[&str],
) -> Result<BTreeMap<String, String>, &'static str> {
    let (mut joined, mut boxes) = (BTreeMap::new(), Vec::new());
    for (name, value) in fields {
        if name == "group" {
            boxes.push(value);
        } else if !names.contains(&name.as_str()) {
            return Err("unknown field");
        } else if joined.insert(name, value).is_some() {
            return Err("duplicate field");
        }
    }
    if let Some(groups) = joined.get_mut("groups") {
        for group in boxes {
            groups.push(' ');
            groups.push_str(&group);
        }
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_and_field_make_one_list_and_a_list_fills_boxes_and_field() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let fields = vec![field("group", "staff"), field("groups", "old"), field("group", "readers")];
        let all = joined(fields, &["groups"]).unwrap();
        assert_eq!(all["groups"], "old staff readers");
        let known = vec!["readers".to_owned(), "staff".to_owned(), "writers".to_owned()];
        let shown = GroupFields::new(&all["groups"], known);
        assert_eq!(shown.others, "old");
        let chosen: Vec<bool> = shown.boxes.iter().map(|(_, chosen)| *chosen).collect();
        assert_eq!(chosen, [true, true, false]);
        assert!(joined(vec![field("x", "")], &["groups"]).is_err());
        assert!(joined(vec![field("groups", "a"), field("groups", "b")], &["groups"]).is_err());
    }
}
