//! What a module needs of its host, and which Envoys have it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use wasmtime::{Extern, ExternType, Store};

use crate::abi::Abi;
use crate::callback;
use crate::limits::Limits;
use crate::module::Module;
use crate::plugin::PluginConfig;
use crate::start;
use crate::state::VmState;
use crate::thread::Thread;
use crate::vm;
use crate::world::World;

/// The minor versions of Envoy 1 that the table of imports was checked on, by linking every import on the
/// releases 1.36.4, 1.37.0, 1.38.2, 1.39.3 and 1.40.0. Of older and newer ones nothing is known here.
const CHECKED: std::ops::RangeInclusive<u32> = 36..=40;

/// The first Envoy with the WASI calls below, and with a call of `__main_void`.
const WITH_MORE_WASI: u32 = 39;

/// What came with proxy-wasm-cpp-host #533, for the Go SDK. All other imports are in every Envoy that was checked.
const MORE_WASI: [&str; 27] = [
    "clock_res_get",
    "fd_advise",
    "fd_allocate",
    "fd_datasync",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_pwrite",
    "fd_readdir",
    "fd_renumber",
    "fd_sync",
    "fd_tell",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// The bytes in a page of a WebAssembly memory.
const PAGE: u64 = 64 * 1024;

/// What a module asks of its host. Shown, it is a table.
#[derive(Clone, Debug)]
pub struct Audit {
    abi: Option<Abi>,
    imports: Vec<ImportAudit>,
    exports: Vec<(String, Option<String>)>,
    missing: Vec<&'static str>,
    memory: Option<(u64, Option<u64>)>,
    sections: Vec<(String, usize)>,
}

/// An import, and whether Envoy has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImportAudit {
    /// The namespace.
    pub module: String,
    /// The name.
    pub name: String,
    /// The type that the module wants.
    pub wanted: String,
    /// Whether it links.
    pub links: Links,
}

/// Whether an import links on Envoy. If one does not, Envoy refuses the whole module.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Links {
    /// On every Envoy that was checked, 1.36 to 1.40.
    Everywhere,
    /// From this minor version of Envoy 1 on, and not on the one before.
    Since(u32),
    /// It exists, with another type.
    OtherType {
        /// The type that Envoy has.
        offered: String,
    },
    /// There is nothing of that name, at least not for the module's version of the ABI.
    Nowhere,
}

impl ImportAudit {
    /// Why Envoy 1.40 refuses it, if it does.
    pub(crate) fn problem(&self) -> Option<String> {
        match &self.links {
            Links::Everywhere | Links::Since(_) => None,
            Links::OtherType { offered } => Some(format!("it is {offered}, not {}", self.wanted)),
            Links::Nowhere => Some("there is nothing of that name".to_owned()),
        }
    }

    fn links_on(&self, minor: u32) -> bool {
        match self.links {
            Links::Everywhere => true,
            Links::Since(since) => minor >= since,
            Links::OtherType { .. } | Links::Nowhere => false,
        }
    }
}

impl Audit {
    pub(crate) fn of(module: &Module) -> Self {
        let abi = module.abi();
        let exports: Vec<_> = module.inner.exports().collect();
        let has = |name: &str| exports.iter().any(|export| export.name() == name);
        let mut missing = Vec::new();
        if !has("memory") {
            missing.push("memory");
        }
        if !has(callback::MALLOC.name) && !has(callback::MEMORY_ALLOCATE.name) {
            missing.push("malloc or proxy_on_memory_allocate");
        }
        let memory = exports.iter().find_map(|export| {
            let memory = export.ty().memory().filter(|_| export.name() == "memory")?.clone();
            Some((memory.minimum(), memory.maximum()))
        });
        Self {
            abi,
            imports: imports(module, abi.unwrap_or(Abi::V0_2_1)),
            exports: exports
                .iter()
                .map(|export| (export.name().to_owned(), remark(export.name(), &export.ty(), abi)))
                .collect(),
            missing,
            memory,
            sections: module.sections.to_vec(),
        }
    }

    /// The newest version of the ABI that the module claims and Envoy knows, such as `0.2.1`.
    #[must_use]
    pub fn abi(&self) -> Option<&'static str> {
        self.abi.map(Abi::number)
    }

    /// Every import, in the module's order.
    #[must_use]
    pub fn imports(&self) -> &[ImportAudit] {
        &self.imports
    }

    /// The names and sizes of the custom sections: `name` makes backtraces readable, `.debug_…` is dead weight,
    /// and `precompiled_…` is of use to one build of V8 only.
    #[must_use]
    pub fn sections(&self) -> &[(String, usize)] {
        &self.sections
    }

    /// The bytes that the memory starts with, and those that it may grow to if the module limits them.
    #[must_use]
    pub fn memory(&self) -> Option<(u64, Option<u64>)> {
        self.memory.map(|(least, most)| (bytes(least), most.map(bytes)))
    }

    /// Whether all imports link on Envoy 1 with this minor version; none if that one was not checked.
    #[must_use]
    pub fn links_on(&self, minor: u32) -> Option<bool> {
        CHECKED.contains(&minor).then(|| self.imports.iter().all(|import| import.links_on(minor)))
    }

    /// Everything for which Envoy 1.40 would refuse the module before it runs.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let marker = self.abi.is_none().then(|| "no ABI marker such as `proxy_abi_version_0_2_1`".to_owned());
        let imports = self.imports.iter().filter_map(|import| {
            Some(format!("import `{}.{}`: {}", import.module, import.name, import.problem()?))
        });
        let missing = self.missing.iter().map(|name| format!("export `{name}`: is missing"));
        let types = self.exports.iter().filter_map(|(name, remark)| {
            let remark = remark.as_ref().filter(|remark| remark.starts_with(WRONG_TYPE))?;
            Some(format!("export `{name}`: {remark}"))
        });
        marker.into_iter().chain(imports).chain(missing).chain(types).collect()
    }
}

const WRONG_TYPE: &str = "has the type";

/// Looks every import up in what the host offers to modules of this ABI version.
fn imports(module: &Module, abi: Abi) -> Vec<ImportAudit> {
    let plugin = Rc::new(PluginConfig::new(module));
    let vm_key = Rc::new(plugin.vm_key());
    let world = Rc::new(RefCell::new(World::default()));
    let state = VmState::new(Thread::Base, world, plugin, vm_key, Limits::new(0));
    let mut store = Store::new(module.inner.engine(), state);
    // Without a linker, which only a duplicate name could prevent, nothing links.
    let linker = start::linker(module, abi).ok();
    let audit = |import: wasmtime::ImportType<'_>| {
        let found = linker.as_ref().and_then(|l| l.get(&mut store, import.module(), import.name()).ok());
        let (wanted, links) = match (import.ty(), found) {
            (ExternType::Func(wanted), Some(Extern::Func(function))) => {
                let offered = function.ty(&store);
                let links = match wanted.matches(&offered) {
                    true => since(import.name()),
                    false => Links::OtherType { offered: offered.to_string() },
                };
                (wanted.to_string(), links)
            }
            (ExternType::Func(wanted), _) => (wanted.to_string(), Links::Nowhere),
            (wanted, Some(_)) => {
                (format!("{wanted:?}"), Links::OtherType { offered: "a function".to_owned() })
            }
            (wanted, None) => (format!("{wanted:?}"), Links::Nowhere),
        };
        ImportAudit { module: import.module().to_owned(), name: import.name().to_owned(), wanted, links }
    };
    module.inner.imports().map(audit).collect()
}

fn since(name: &str) -> Links {
    if MORE_WASI.contains(&name) { Links::Since(WITH_MORE_WASI) } else { Links::Everywhere }
}

/// What there is to say about an export.
fn remark(name: &str, found: &ExternType, abi: Option<Abi>) -> Option<String> {
    if let Some(callback) = callback::ALL.iter().find(|callback| callback.name == name) {
        let reason = match found {
            ExternType::Func(function) => vm::check(callback, function, abi).err(),
            other => Some(format!("{WRONG_TYPE} {other:?}")),
        };
        let is_new = name == callback::MAIN_VOID.name;
        return reason.or_else(|| is_new.then(|| format!("called from Envoy 1.{WITH_MORE_WASI} on")));
    }
    match name {
        _ if name.starts_with("proxy_abi_version_") && Abi::from_marker(name).is_none() => {
            Some("Envoy does not know this version".to_owned())
        }
        _ if name.starts_with("proxy_on_") => Some("Envoy calls nothing of that name".to_owned()),
        _ => None,
    }
}

fn bytes(pages: u64) -> u64 {
    pages.saturating_mul(PAGE)
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ABI       {}", self.abi().unwrap_or("none"))?;
        match self.memory() {
            Some((least, Some(most))) => writeln!(f, "memory    {least} bytes, {most} at most")?,
            Some((least, None)) => writeln!(f, "memory    {least} bytes, without a limit of its own")?,
            None => writeln!(f, "memory    none")?,
        }
        let verdict = |minor: u32| match self.links_on(minor) {
            Some(true) => format!("1.{minor} yes"),
            Some(false) => format!("1.{minor} NO"),
            None => format!("1.{minor} unknown"),
        };
        let verdicts: Vec<_> = CHECKED.map(verdict).collect();
        writeln!(f, "links on  {}", verdicts.join(", "))?;
        let names = self.imports.iter().map(|import| format!("{}.{}", import.module, import.name));
        let names: Vec<_> = names.collect();
        let width = names.iter().chain(self.exports.iter().map(|(name, _)| name)).map(String::len).max();
        let width = width.unwrap_or(0);
        writeln!(f, "imports   {}", self.imports.len())?;
        for (name, import) in names.iter().zip(&self.imports) {
            let links = match &import.links {
                Links::Everywhere => "1.36 and later".to_owned(),
                Links::Since(minor) => format!("1.{minor} and later"),
                Links::OtherType { offered } => format!("NO: wants {}, Envoy has {offered}", import.wanted),
                Links::Nowhere => "NO: unknown to Envoy".to_owned(),
            };
            writeln!(f, "  {name:<width$}  {links}")?;
        }
        writeln!(f, "exports   {}", self.exports.len())?;
        for (name, remark) in &self.exports {
            match remark {
                Some(remark) => writeln!(f, "  {name:<width$}  {remark}")?,
                None => writeln!(f, "  {name}")?,
            }
        }
        for name in &self.missing {
            writeln!(f, "  {name:<width$}  MISSING")?;
        }
        writeln!(f, "sections  {}", self.sections.len())?;
        for (name, size) in &self.sections {
            writeln!(f, "  {name:<width$}  {size} bytes")?;
        }
        Ok(())
    }
}
