//! The part of WASI preview 1 that Envoy offers, with Envoy's answers.
//!
//! There are no files and no sockets. The types are Envoy's as well, also where they differ from WASI's: a
//! module that imports such a function as WASI declares it does not link.

use wasmtime::{AsContextMut as _, Caller, Linker};

use crate::abi;
use crate::log::Level;
use crate::memory;
use crate::state::{Cx, VmState};
use crate::status::Status;

/// Both names under which modules import WASI.
pub(crate) const NAMESPACES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// What a module may call before it has started, besides `proxy_log`: everything here that is harmless.
pub(crate) const ALLOWED_AT_START: &[&str] = &[
    "proxy_log",
    "emscripten_notify_memory_growth",
    "fd_write",
    "args_sizes_get",
    "args_get",
    "environ_sizes_get",
    "environ_get",
    "clock_time_get",
    "clock_res_get",
    "random_get",
    "poll_oneoff",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_advise",
    "fd_allocate",
    "fd_datasync",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_readdir",
    "fd_renumber",
    "fd_sync",
    "fd_tell",
    "path_create_directory",
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

/// An error number of WASI.
#[derive(Clone, Copy, Debug)]
struct Errno(u32);

const BADF: Errno = Errno(8);
const NOTDIR: Errno = Errno(20);
const FAULT: Errno = Errno(21);
const INVAL: Errno = Errno(28);
const NOENT: Errno = Errno(44);
const NOSYS: Errno = Errno(52);
const NOTSUP: Errno = Errno(58);

impl From<Status> for Errno {
    /// The only thing that can be wrong with memory.
    fn from(_: Status) -> Self {
        FAULT
    }
}

/// `random_get` fills no more than this.
const MAX_RANDOM: u32 = 64 * 1024;

macro_rules! functions {
    ($($name:literal = $function:expr, ($($argument:ident: $type:ty),*);)*) => {
        /// The names of the functions that answer with an error number.
        pub(crate) const NAMES: &[&str] = &[$($name),*];

        /// Links the functions under both names.
        pub(crate) fn link(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
            for namespace in NAMESPACES {
                $(linker.func_wrap(
                    namespace,
                    $name,
                    |mut caller: Caller<'_, VmState>, $($argument: $type),*| -> wasmtime::Result<u32> {
                        let mut cx = caller.as_context_mut();
                        if let Some(code) = abi::enter(&mut cx, $name)? {
                            return Ok(code);
                        }
                        let function: fn(&mut Cx<'_>, $($type),*) -> Result<(), Errno> = $function;
                        Ok(function(&mut cx, $($argument),*).err().map_or(0, |errno| errno.0))
                    },
                )?;)*
                // Envoy notes the call and returns. What follows in the module is `unreachable`.
                linker.func_wrap(namespace, "proc_exit", |mut caller: Caller<'_, VmState>, _code: u32| {
                    abi::enter(&mut caller.as_context_mut(), "proc_exit").map(drop)
                })?;
            }
            linker.func_wrap("env", "pthread_equal", |left: u32, right: u32| u32::from(left == right))?;
            linker.func_wrap("env", "emscripten_notify_memory_growth", |_memory: u32| {})?;
            Ok(())
        }
    };
}

functions! {
    "fd_write" = fd_write, (fd: u32, vectors: u32, count: u32, written_at: u32);
    "fd_read" = |_, _, _, _, _| Err(NOSYS), (fd: u32, vectors: u32, count: u32, read_at: u32);
    "fd_seek" = |_, _, _, _, _| Ok(()), (fd: u32, offset: i64, whence: u32, offset_at: u32);
    "fd_close" = |_, _| Ok(()), (fd: u32);
    "fd_fdstat_get" = fd_fdstat_get, (fd: u32, stat_at: u32);
    "fd_fdstat_set_flags" = |_, _, _| Err(NOSYS), (fd: u32, flags: u32);
    "fd_fdstat_set_rights" = |_, fd, _, _| output(fd), (fd: u32, base: u64, inheriting: u64);
    "environ_get" = environ_get, (pointers_at: u32, bytes_at: u32);
    "environ_sizes_get" = environ_sizes_get, (count_at: u32, size_at: u32);
    "args_get" = |_, _, _| Ok(()), (pointers_at: u32, bytes_at: u32);
    "args_sizes_get" = zeros, (count_at: u32, size_at: u32);
    "clock_time_get" = clock_time_get, (clock: u32, precision: u64, time_at: u32);
    "clock_res_get" = clock_res_get, (clock: u32, resolution_at: u32);
    "fd_advise" = |_, _, _, _, _| Ok(()), (fd: u32, offset: u64, length: u64, advice: u32);
    "fd_allocate" = |_, fd, _, _| output(fd), (fd: u32, offset: u64, length: u64);
    "fd_datasync" = |_, fd| output(fd), (fd: u32);
    "fd_filestat_set_size" = |_, fd, _| output(fd), (fd: u32, size: u64);
    "fd_filestat_set_times" = |_, fd, _, _, _| output(fd), (fd: u32, access: u64, change: u64, flags: u32);
    "fd_pread" = |_, _, _, _, _, _| Err(NOSYS), (fd: u32, vectors: u32, count: u32, offset: u64, read_at: u32);
    "fd_pwrite" = |cx, fd, vectors, count, _, written_at| fd_write(cx, fd, vectors, count, written_at),
        (fd: u32, vectors: u32, count: u32, offset: u64, written_at: u32);
    "fd_readdir" = |cx, _, _, _, _, read_at| zero(cx, read_at, NOTDIR),
        (fd: u32, bytes: u32, size: u32, cookie: u64, read_at: u32);
    "fd_renumber" = |_, fd, to| output(fd).and(output(to)).and(Err(NOTSUP)), (fd: u32, to: u32);
    "fd_sync" = |_, fd| output(fd), (fd: u32);
    "fd_tell" = fd_tell, (fd: u32, offset_at: u32);
    "path_create_directory" = |_, _, _, _| Err(NOTSUP), (fd: u32, path: u32, path_size: u32);
    "path_filestat_set_times" = |_, _, _, _, _, _, _, _| Err(NOTSUP),
        (fd: u32, flags: u32, path: u32, path_size: u32, access: u64, change: u64, set: u32);
    "path_link" = |_, _, _, _, _, _, _| Err(NOTSUP),
        (old_fd: u32, flags: u32, old: u32, old_size: u32, new_fd: u32, new: u32);
    "path_readlink" = |cx, _, _, _, _, _, read_at| zero(cx, read_at, NOTSUP),
        (fd: u32, path: u32, path_size: u32, bytes: u32, size: u32, read_at: u32);
    "path_remove_directory" = |_, _, _, _| Err(NOTSUP), (fd: u32, path: u32, path_size: u32);
    "path_rename" = |_, _, _, _, _, _, _| Err(NOTSUP),
        (old_fd: u32, old: u32, old_size: u32, new_fd: u32, new: u32, new_size: u32);
    "path_symlink" = |_, _, _, _, _| Err(NOTSUP), (old: u32, old_size: u32, fd: u32, new: u32);
    "path_unlink_file" = |_, _, _, _| Err(NOTSUP), (fd: u32, path: u32, path_size: u32);
    "sock_accept" = sock_accept, (fd: u32, flags: u32, fd_at: u32);
    "sock_recv" = sock_recv, (fd: u32, vectors: u32, count: u32, flags: u32, read_at: u32, flags_at: u32);
    "sock_send" = |cx, _, _, _, _, written_at| zero(cx, written_at, NOTSUP),
        (fd: u32, vectors: u32, count: u32, flags: u32, written_at: u32);
    "sock_shutdown" = |_, _, _| Err(NOTSUP), (fd: u32, how: u32);
    "random_get" = random_get, (bytes_at: u32, size: u32);
    "sched_yield" = |_| Ok(()), ();
    "poll_oneoff" = poll_oneoff, (subscriptions: u32, events: u32, count: u32, events_at: u32);
    "path_open" = |_, _, _, _, _, _, _, _, _, _| Err(NOENT),
        (fd: u32, lookup: u32, path: u32, path_size: u32, open: u32, base: i64, inheriting: i64, flags: u32, fd_at: u32);
    "fd_prestat_get" = |_, _, _| Err(BADF), (fd: u32, stat_at: u32);
    "fd_prestat_dir_name" = |_, _, _, _| Err(NOSYS), (fd: u32, path: u32, path_size: u32);
    "path_filestat_get" = |_, _, _, _, _, _| Err(NOTSUP),
        (fd: u32, flags: u32, path: u32, path_size: u32, stat_at: u32);
    "fd_filestat_get" = |_, _, _| Err(BADF), (fd: u32, stat_at: u32);
}

/// The only files are standard output and standard error.
fn output(fd: u32) -> Result<(), Errno> {
    if [1, 2].contains(&fd) { Ok(()) } else { Err(BADF) }
}

/// Writes a zero where the result would be, and fails.
fn zero(cx: &mut Cx<'_>, at: u32, errno: Errno) -> Result<(), Errno> {
    memory::write_u32(cx, at, 0)?;
    Err(errno)
}

/// Each write is a line of the log: as information, or as an error.
fn fd_write(cx: &mut Cx<'_>, fd: u32, vectors: u32, count: u32, written_at: u32) -> Result<(), Errno> {
    output(fd)?;
    let level = if fd == 1 { Level::Info } else { Level::Error };
    let mut bytes = Vec::new();
    for index in 0..count {
        let at = index.checked_mul(8).and_then(|offset| vectors.checked_add(offset)).ok_or(FAULT)?;
        let vector = memory::read(cx, at, 8)?;
        let (Some(address), Some(size)) = (vector.first_chunk::<4>(), vector.last_chunk::<4>()) else {
            return Err(FAULT);
        };
        bytes.extend(memory::read(cx, u32::from_le_bytes(*address), u32::from_le_bytes(*size))?);
    }
    let written = u32::try_from(bytes.len()).map_err(|_| FAULT)?;
    if !bytes.is_empty() {
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = String::from_utf8_lossy(line).into_owned();
        if level == Level::Error {
            abi::last_words(cx, &line);
        }
        abi::record(cx, level, line);
    }
    Ok(memory::write_u32(cx, written_at, written)?)
}

fn fd_fdstat_get(cx: &mut Cx<'_>, fd: u32, stat_at: u32) -> Result<(), Errno> {
    /// `__WASI_RIGHTS_FD_WRITE`, the second word of three.
    const RIGHTS: u8 = 64;
    output(fd)?;
    let mut stat = [0; 24];
    if let Some(rights) = stat.get_mut(8) {
        *rights = RIGHTS;
    }
    // Envoy does not check.
    let _ = memory::write(cx, stat_at, &stat);
    Ok(())
}

fn environ_get(cx: &mut Cx<'_>, mut pointers_at: u32, mut bytes_at: u32) -> Result<(), Errno> {
    for (key, value) in cx.data().plugin.clone().environment.iter() {
        memory::write_u32(cx, pointers_at, bytes_at)?;
        let entry = format!("{key}={value}\0");
        memory::write(cx, bytes_at, entry.as_bytes())?;
        bytes_at = bytes_at.saturating_add(u32::try_from(entry.len()).map_err(|_| FAULT)?);
        pointers_at = pointers_at.saturating_add(4);
    }
    Ok(())
}

fn environ_sizes_get(cx: &mut Cx<'_>, count_at: u32, size_at: u32) -> Result<(), Errno> {
    let environment = &cx.data().plugin.environment;
    let size: usize = environment.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    let (count, size) = (u32::try_from(environment.len()), u32::try_from(size));
    memory::write_u32(cx, count_at, count.map_err(|_| FAULT)?)?;
    Ok(memory::write_u32(cx, size_at, size.map_err(|_| FAULT)?)?)
}

fn zeros(cx: &mut Cx<'_>, one_at: u32, other_at: u32) -> Result<(), Errno> {
    memory::write_u32(cx, one_at, 0)?;
    Ok(memory::write_u32(cx, other_at, 0)?)
}

/// The wall clock and the monotonic one, both virtual.
fn clock_time_get(cx: &mut Cx<'_>, clock: u32, _precision: u64, time_at: u32) -> Result<(), Errno> {
    let time = match clock {
        0 => cx.data().world().unix_time(),
        1 => cx.data().world().elapsed,
        _ => return Err(NOTSUP),
    };
    Ok(memory::write_u64(cx, time_at, abi::nanoseconds(time))?)
}

fn clock_res_get(cx: &mut Cx<'_>, clock: u32, resolution_at: u32) -> Result<(), Errno> {
    if clock > 1 {
        return Err(NOTSUP);
    }
    Ok(memory::write_u64(cx, resolution_at, 1)?)
}

fn fd_tell(cx: &mut Cx<'_>, fd: u32, offset_at: u32) -> Result<(), Errno> {
    output(fd)?;
    Ok(memory::write_u64(cx, offset_at, 0)?)
}

fn sock_accept(cx: &mut Cx<'_>, _fd: u32, _flags: u32, fd_at: u32) -> Result<(), Errno> {
    memory::write_u64(cx, fd_at, 0)?;
    Err(NOTSUP)
}

fn sock_recv(
    cx: &mut Cx<'_>,
    _fd: u32,
    _vectors: u32,
    _count: u32,
    _flags: u32,
    read_at: u32,
    flags_at: u32,
) -> Result<(), Errno> {
    memory::write_u32(cx, read_at, 0)?;
    memory::write(cx, flags_at, &[0, 0])?;
    Err(NOTSUP)
}

/// The same bytes on every run.
fn random_get(cx: &mut Cx<'_>, bytes_at: u32, size: u32) -> Result<(), Errno> {
    if size > MAX_RANDOM {
        return Err(INVAL);
    }
    let mut bytes = Vec::new();
    while bytes.len() < size as usize {
        bytes.extend(cx.data().world().next_random().to_le_bytes());
    }
    bytes.truncate(size as usize);
    Ok(memory::write(cx, bytes_at, &bytes)?)
}

fn poll_oneoff(cx: &mut Cx<'_>, _in: u32, _out: u32, _count: u32, events_at: u32) -> Result<(), Errno> {
    Ok(memory::write_u32(cx, events_at, 0)?)
}
