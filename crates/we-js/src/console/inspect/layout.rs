//! From the parts of an object to text of one or several lines.

use super::plural;

/// A line of entries that is longer than this is broken.
const LINE_LENGTH: usize = 72;

/// An array with more elements than this has several of them on a line.
const ELEMENTS_BEFORE_GROUPING: usize = 6;

/// What encloses the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Braces {
    Curly,
    Square,
    /// None, if there are no entries: the prefix says it all.
    CurlyIfNeeded,
}

/// What there is to see of an object.
pub(super) struct Shape {
    prefix: String,
    braces: Braces,
    pub(super) entries: Vec<String>,
    /// Whether the properties with an index are among the entries already.
    pub(super) has_elements: bool,
}

impl Shape {
    /// Entries in braces, after a prefix that ends with a space or is empty.
    pub(super) fn new(prefix: String, braces: Braces) -> Self {
        Self {
            prefix,
            braces,
            entries: Vec::new(),
            has_elements: false,
        }
    }

    /// An object that is shown by this text, with braces only if it has properties.
    pub(super) fn of_text(text: String) -> Self {
        Self::new(text, Braces::CurlyIfNeeded)
    }

    /// Says how many elements are not shown.
    pub(super) fn more(&mut self, count: u64) {
        if count > 0 {
            self.entries
                .push(format!("... {count} more item{}", plural(count)));
        }
    }
}

/// The text of an object that is `depth` levels deep. Lines after the first are indented relative to it.
pub(super) fn lay_out(shape: Shape, depth: usize) -> String {
    let Shape {
        prefix,
        braces,
        entries,
        has_elements,
    } = shape;
    let (open, close) = match braces {
        Braces::Curly => ("{", "}"),
        Braces::Square => ("[", "]"),
        Braces::CurlyIfNeeded if entries.is_empty() => return prefix,
        Braces::CurlyIfNeeded => (" {", "}"),
    };
    if entries.is_empty() {
        return format!("{prefix}{open}{close}");
    }
    let width = LINE_LENGTH.saturating_sub(depth * 2);
    let length: usize = entries.iter().map(|entry| entry.chars().count() + 2).sum();
    let is_flat = !prefix.contains('\n') && !entries.iter().any(|entry| entry.contains('\n'));
    let is_list = has_elements && entries.len() > ELEMENTS_BEFORE_GROUPING;
    if is_flat && length + prefix.chars().count() <= width {
        return format!("{prefix}{open} {} {close}", entries.join(", "));
    }
    let lines = if is_list && is_flat {
        group(&entries, width)
    } else {
        entries
    };
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("  {}", line.replace('\n', "\n  ")))
        .collect();
    format!("{prefix}{open}\n{}\n{close}", lines.join(",\n"))
}

/// As many entries on a line as fit.
fn group(entries: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for entry in entries {
        match lines.last_mut() {
            Some(line) if line.chars().count() + entry.chars().count() + 2 <= width => {
                line.push_str(", ");
                line.push_str(entry);
            }
            _ => lines.push(entry.clone()),
        }
    }
    lines
}
