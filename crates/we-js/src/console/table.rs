//! `console.table`: rows and columns, drawn with lines.

use boa_engine::{
    Context, JsResult, JsValue,
    object::{
        JsObject,
        builtins::{JsMap, JsProxy, JsSet},
    },
    property::PropertyKey,
};

use super::inspect::Inspector;
use crate::binding::{sequence, to_usv_string};

/// More rows or columns are no table that anyone reads.
const MAX_ROWS: usize = 1000;
const MAX_COLUMNS: usize = 100;

/// The text of a table, or `None` if `data` is nothing that has rows.
pub(super) fn render(
    data: &JsValue,
    columns: &JsValue,
    context: &mut Context,
) -> JsResult<Option<String>> {
    let chosen = if columns.is_undefined() {
        None
    } else {
        sequence(columns, context, |value, context| {
            Ok(to_usv_string(&value.to_string(context)?))
        })?
    };
    let Some(object) = data.as_object().filter(is_transparent) else {
        return Ok(None);
    };
    let mut table = Table::default();
    for (index, value) in rows(&object, context)? {
        table.add_row(index, &value, chosen.as_deref(), context)?;
    }
    if let Some(chosen) = chosen {
        table.columns = chosen;
    }
    Ok(Some(table.draw()))
}

#[derive(Default)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    index: String,
    /// The cells by the name of their column.
    cells: Vec<(String, String)>,
    /// A row that is a value and not an object with columns.
    value: Option<String>,
}

impl Table {
    fn add_row(
        &mut self,
        index: String,
        value: &JsValue,
        chosen: Option<&[String]>,
        context: &mut Context,
    ) -> JsResult<()> {
        let mut row = Row {
            index,
            cells: Vec::new(),
            value: None,
        };
        match value.as_object().filter(is_transparent) {
            Some(object) if !object.is_callable() => {
                for (name, value) in properties(&object, context)?.into_iter().take(MAX_COLUMNS) {
                    if chosen.is_some_and(|chosen| !chosen.contains(&name)) {
                        continue;
                    }
                    if !self.columns.contains(&name) {
                        self.columns.push(name.clone());
                    }
                    row.cells
                        .push((name, Inspector::with_depth(0.0).inspect(&value, context)?));
                }
            }
            _ => row.value = Some(Inspector::default().inspect(value, context)?),
        }
        self.rows.push(row);
        Ok(())
    }

    fn draw(&self) -> String {
        let has_values = self.rows.iter().any(|row| row.value.is_some());
        let mut header = vec![String::from("(index)")];
        header.extend(self.columns.iter().cloned());
        header.extend(has_values.then(|| String::from("Values")));
        let mut lines = vec![header];
        for row in &self.rows {
            let mut line = vec![row.index.clone()];
            for column in &self.columns {
                let cell = row.cells.iter().find(|(name, _)| name == column);
                line.push(
                    cell.map(|(_, text)| text.replace('\n', " "))
                        .unwrap_or_default(),
                );
            }
            line.extend(
                has_values.then(|| row.value.clone().unwrap_or_default().replace('\n', " ")),
            );
            lines.push(line);
        }
        draw(&lines)
    }
}

/// Draws cells, the first line being the header.
fn draw(lines: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count() + 2);
        }
    }
    let rule = |left: &str, middle: &str, right: &str| {
        let segments: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        format!("{left}{}{right}", segments.join(middle))
    };
    let mut text = vec![rule("┌", "┬", "┐")];
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| {
                format!(
                    " {cell}{}",
                    " ".repeat(width.saturating_sub(cell.chars().count() + 1))
                )
            })
            .collect();
        text.push(format!("│{}│", cells.join("│")));
        if number == 0 {
            text.push(rule("├", "┼", "┤"));
        }
    }
    text.push(rule("└", "┴", "┘"));
    text.join("\n")
}

fn is_transparent(object: &JsObject) -> bool {
    JsProxy::from_object(object.clone()).is_err()
}

/// The rows of a map, a set, an array or any object.
fn rows(object: &JsObject, context: &mut Context) -> JsResult<Vec<(String, JsValue)>> {
    let mut values = Vec::new();
    if let Ok(map) = JsMap::from_object(object.clone()) {
        let mut entries = Vec::new();
        map.for_each_native(|key, value| {
            entries.push((key, value));
            Ok(())
        })?;
        for (key, value) in entries.into_iter().take(MAX_ROWS) {
            values.push((Inspector::with_depth(0.0).inspect(&key, context)?, value));
        }
    } else if let Ok(set) = JsSet::from_object(object.clone()) {
        set.for_each_native(|value| {
            if values.len() < MAX_ROWS {
                values.push((values.len().to_string(), value));
            }
            Ok(())
        })?;
    } else {
        values = properties(object, context)?;
        values.truncate(MAX_ROWS);
    }
    Ok(values)
}

/// The enumerable own data properties that have a string for a name.
fn properties(object: &JsObject, context: &mut Context) -> JsResult<Vec<(String, JsValue)>> {
    let keys = object.own_property_keys(context)?;
    let object = object.borrow();
    let value = |key: &PropertyKey| {
        let property = object
            .properties()
            .get(key)
            .filter(|property| property.enumerable() == Some(true))?;
        property.value().cloned()
    };
    let properties = keys.iter().filter_map(|key| {
        let name = match key {
            PropertyKey::Index(index) => index.get().to_string(),
            PropertyKey::String(name) => to_usv_string(name),
            PropertyKey::Symbol(_) => return None,
        };
        Some((name, value(key)?))
    });
    Ok(properties.collect())
}
