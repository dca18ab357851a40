//! The memory of the host and of this process, as Linux reports them; unknown elsewhere.

use std::fs::read_to_string;

/// Memory that this process may use, in MiB: the machine's, or the smaller limit of its control group.
pub(crate) fn memory_mib() -> Option<u64> {
    let machine = kib_of("/proc/meminfo", "MemTotal:")? >> 10;
    Some(control_group().map_or(machine, |bytes| machine.min(bytes >> 20)))
}

/// The resident memory of the process, in bytes.
pub(crate) fn resident() -> Option<u64> {
    Some(kib_of("/proc/self/status", "VmRSS:")? << 10)
}

/// The number behind `key`, in KiB, in a file of lines like `VmRSS:   1234 kB`.
fn kib_of(path: &str, key: &str) -> Option<u64> {
    let text = read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The limit of this process's control group (version 2), in bytes.
fn control_group() -> Option<u64> {
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    read_to_string(format!("/sys/fs/cgroup{own}/memory.max")).ok()?.trim().parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn memory_is_known() {
        let (machine, resident) = (super::memory_mib().unwrap(), super::resident().unwrap());
        assert!(machine > 16 && resident > 0 && resident >> 20 < machine, "{machine} MiB, {resident} bytes");
    }
}
