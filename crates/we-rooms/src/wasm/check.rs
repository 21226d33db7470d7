//! Whether a module is a service: told when it is loaded, and not when the first client comes.

use wasmtime::{ExternType, FuncType, Module, ValType};

use super::{WasmError, imports, wasi};

/// The version of `abi.md`.
pub(super) const VERSION: i32 = 1;

/// What is exported: name, parameters, results, and whether it must be there.
const FUNCTIONS: &[(&str, &[Type], &[Type], Needed)] = {
    use Needed::{No, Yes};
    use Type::{I32, I64};
    &[
        ("we_abi_version", &[], &[I32], Yes),
        ("we_alloc", &[I32], &[I32], Yes),
        ("we_message", &[I64, I32, I32, I32], &[], Yes),
        ("we_init", &[], &[], No),
        ("we_connect", &[I64, I32, I32], &[], No),
        ("we_disconnect", &[I64], &[], No),
        ("we_timer", &[], &[], No),
        ("_initialize", &[], &[], No),
    ]
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    Yes,
    No,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    I32,
    I64,
}

/// Looks at the beginning of a file that is to be a module.
pub(super) fn header(bytes: &[u8]) -> Result<(), WasmError> {
    match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, 0, 1, 0, ..] => Err(WasmError::Component),
        _ => Err(WasmError::NoModule),
    }
}

/// Looks at what a module imports and exports. All that is wrong is named at once.
pub(super) fn module(module: &Module) -> Result<(), WasmError> {
    let mut problems = Vec::new();
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let is_known = match from {
            imports::MODULE => imports::NAMES.contains(&name),
            wasi::MODULE => matches!(import.ty(), ExternType::Func(_)),
            _ => false,
        };
        if name == "we_service" && !is_known {
            problems.push(
                "nothing defines `we_service`, which is to call `we_guest::serve`".to_owned(),
            );
        } else if !is_known {
            problems.push(format!(
                "it imports `{name}` of `{from}`, which is not there: a service has the functions of `we` and of `wasi_snapshot_preview1`"
            ));
        }
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(memory)) if !memory.is_64() && !memory.is_shared() => {}
        Some(_) => problems.push("its export `memory` is no memory of 32 bits".to_owned()),
        None => problems.push("it exports no `memory`".to_owned()),
    }
    for (name, parameters, results, needed) in FUNCTIONS {
        let expected = || signature(name, parameters, results);
        match module.get_export(name) {
            Some(ExternType::Func(function)) if is_of(&function, parameters, results) => {}
            Some(ExternType::Func(_)) => {
                problems.push(format!(
                    "`{name}` has another signature than {}",
                    expected()
                ));
            }
            Some(_) => problems.push(format!("its export `{name}` is not {}", expected())),
            None if *needed == Needed::Yes => {
                problems.push(format!("it exports no {}", expected()));
            }
            None => {}
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(WasmError::NoService {
        problems: problems.join("; "),
    })
}

fn is_of(function: &FuncType, parameters: &[Type], results: &[Type]) -> bool {
    let same = |actual: &mut dyn ExactSizeIterator<Item = ValType>, expected: &[Type]| {
        actual.len() == expected.len()
            && actual.zip(expected).all(|(actual, expected)| {
                matches!(
                    (actual, expected),
                    (ValType::I32, Type::I32) | (ValType::I64, Type::I64)
                )
            })
    };
    same(&mut function.params(), parameters) && same(&mut function.results(), results)
}

/// As WebAssembly's text format has it, more or less.
fn signature(name: &str, parameters: &[Type], results: &[Type]) -> String {
    let list = |types: &[Type]| {
        let names: Vec<_> = types
            .iter()
            .map(|one| match one {
                Type::I32 => "i32",
                Type::I64 => "i64",
            })
            .collect();
        names.join(", ")
    };
    let results = match list(results) {
        none if none.is_empty() => none,
        some => format!(" -> {some}"),
    };
    format!("`{name}({}){results}`", list(parameters))
}
