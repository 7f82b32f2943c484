//! What the system tells of processes, and where they run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A core for what is measured, and the others for everything else.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    measured: usize,
    others: Vec<usize>,
}

impl Cores {
    /// Of those that this process may use, the last is for what is measured.
    pub(crate) fn of_this_process() -> Result<Self> {
        let set = sched_getaffinity(None).context("cannot see which cores may be used")?;
        let mut others: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect();
        ensure!(others.len() > 1, "two cores are needed: one for Envoy alone, one for the load");
        let measured = others.pop().context("no core")?;
        Ok(Self { measured, others })
    }

    /// Leaves the measured core to what is measured. Called before other threads exist: they, and children,
    /// inherit this.
    pub(crate) fn stay_away(&self) -> Result<()> {
        pin_thread(None, &self.others)
    }

    /// Moves all threads of a process to the measured core. Threads that it starts later inherit this.
    pub(crate) fn move_to_measured(&self, pid: u32) -> Result<()> {
        for task in tasks(pid)? {
            let thread = task.parse().ok().and_then(Pid::from_raw);
            pin_thread(thread, &[self.measured])?;
        }
        Ok(())
    }
}

fn pin_thread(thread: Option<Pid>, cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(thread, &set).context("cannot choose the cores of a thread")
}

/// Processor time that a process has used so far, user and system, in seconds. From the scheduler, which counts
/// nanoseconds; `utime` and `stime` count ticks.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let mut nanoseconds = 0;
    for task in tasks(pid)? {
        // A thread may have ended meanwhile.
        let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    }
    ensure!(nanoseconds > 0, "the system does not say how much processor time process {pid} has used");
    #[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
    Ok(nanoseconds as f64 / 1e9)
}

/// Memory of a process that is resident, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} has ended"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.context("the system does not say how much memory a process has")? * 1_024)
}

fn tasks(pid: u32) -> Result<Vec<String>> {
    let dir = Path::new("/proc").join(pid.to_string()).join("task");
    let entries = fs::read_dir(&dir).with_context(|| format!("process {pid} has ended"))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// One line about the machine, for whoever compares results.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {processor}, {memory}, Linux {}, load average {load}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_uses_processor_time_and_memory() {
        let me = std::process::id();
        let (before, memory) = (cpu_seconds(me).unwrap(), resident_bytes(me).unwrap());
        let block = vec![1u8; 64 << 20];
        let sum: u64 = std::hint::black_box(&block).iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!(sum, 64 << 20);
        assert!(cpu_seconds(me).unwrap() > before);
        assert!(resident_bytes(me).unwrap() > memory + (32 << 20));
        drop(block);
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(cpu_seconds(0).is_err());
        assert!(resident_bytes(0).is_err());
    }
}
