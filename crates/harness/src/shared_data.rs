//! Values that all VMs of a `vm_id` share, with compare-and-swap.

use std::collections::HashMap;

use crate::status::Status;

/// Each value with its stamp for the compare-and-swap, by key.
type Values = HashMap<Vec<u8>, (Vec<u8>, u32)>;

/// The process-wide store. A `cas` of zero means "whatever is there".
#[derive(Debug)]
pub(crate) struct SharedData {
    by_vm_id: HashMap<String, Values>,
    next_cas: u32,
}

impl Default for SharedData {
    fn default() -> Self {
        Self { by_vm_id: HashMap::new(), next_cas: 1 }
    }
}

impl SharedData {
    pub(crate) fn get(&self, vm_id: &str, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        self.by_vm_id.get(vm_id).and_then(|values| values.get(key)).cloned().ok_or(Status::NotFound)
    }

    /// A missing key is created whatever `cas` says, so that there is no atomic create: Envoy's quirk.
    pub(crate) fn set(&mut self, vm_id: &str, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let values = self.by_vm_id.entry(vm_id.to_owned()).or_default();
        if let Some((_, current)) = values.get(key)
            && cas != 0
            && cas != *current
        {
            return Err(Status::CasMismatch);
        }
        let stamp = self.next_cas;
        self.next_cas = self.next_cas.checked_add(1).unwrap_or(1);
        values.insert(key.to_vec(), (value.to_vec(), stamp));
        Ok(())
    }

    /// Envoy does so when the last VM of this id is gone.
    pub(crate) fn delete(&mut self, vm_id: &str) {
        self.by_vm_id.remove(vm_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_cas_is_refused_and_a_missing_key_is_created_regardless() {
        let mut data = SharedData::default();
        assert_eq!(data.get("", b"k"), Err(Status::NotFound));
        assert_eq!(data.set("", b"k", b"a", 77), Ok(()));
        let Ok((_, cas)) = data.get("", b"k") else { panic!("the key was created") };
        assert_eq!(data.set("", b"k", b"b", cas), Ok(()));
        assert_eq!(data.set("", b"k", b"c", cas), Err(Status::CasMismatch));
        assert_eq!(data.set("", b"k", b"d", 0), Ok(()));
        assert_eq!(data.get("", b"k").map(|(value, _)| value), Ok(b"d".to_vec()));
    }
}
