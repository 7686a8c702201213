//! DPDK's hash table, for the sake of comparison alone: the switch does not link
//! with it. Declared here, not in dpdk-sys, for the same reason.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use macvlan::fib::MISS;

use super::contenders::Lookup;

const BURST: usize = 64;

#[repr(C)]
struct Parameters {
    name: *const c_char,
    entries: u32,
    reserved: u32,
    key_len: u32,
    hash_func: Option<extern "C" fn(*const c_void, u32, u32) -> u32>,
    hash_func_init_val: u32,
    socket_id: c_int,
    extra_flag: u8,
}

#[link(name = "rte_hash")]
unsafe extern "C" {
    fn rte_hash_create(parameters: *const Parameters) -> *mut c_void;
    fn rte_hash_free(hash: *mut c_void);
    fn rte_hash_add_key(hash: *const c_void, key: *const c_void) -> i32;
    fn rte_hash_lookup_bulk(
        hash: *const c_void,
        keys: *const *const c_void,
        count: u32,
        positions: *mut i32,
    ) -> c_int;
}

/// A table of `rte_hash`, with its own hash function (CRC32) and keys of eight
/// bytes. EAL has been started.
pub struct RteHash {
    hash: *mut c_void,
    /// By position.
    values: Vec<u16>,
}

impl RteHash {
    pub fn new(pairs: &[(u64, u16)]) -> Self {
        let parameters = Parameters {
            name: c"lookup".as_ptr(),
            // It may not find room for as many as it is made for.
            entries: u32::try_from(pairs.len() + pairs.len() / 8).unwrap().max(16),
            reserved: 0,
            key_len: 8,
            hash_func: None,
            hash_func_init_val: 0,
            socket_id: 0,
            extra_flag: 0,
        };
        // SAFETY: the parameters are those of rte_hash.h, and outlive the call.
        let hash = unsafe { rte_hash_create(&raw const parameters) };
        assert!(!hash.is_null(), "rte_hash_create");
        let mut values = vec![MISS; pairs.len() * 2 + 64];
        for (key, value) in pairs {
            // SAFETY: the table is one, and a key has eight bytes.
            let position = unsafe { rte_hash_add_key(hash, ptr::from_ref(key).cast()) };
            values[usize::try_from(position).expect("rte_hash_add_key")] = *value;
        }
        Self { hash, values }
    }
}

impl Drop for RteHash {
    fn drop(&mut self) {
        // SAFETY: it was made by rte_hash_create and is used no more.
        unsafe { rte_hash_free(self.hash) };
    }
}

impl Lookup for RteHash {
    fn name(&self) -> &'static str {
        "rte_hash"
    }

    fn burst(&self, keys: &[u64], values: &mut [u16]) {
        let mut pointers = [ptr::null(); BURST];
        let mut positions = [0; BURST];
        for (pointer, key) in pointers.iter_mut().zip(keys) {
            *pointer = ptr::from_ref(key).cast();
        }
        let count = u32::try_from(keys.len().min(BURST)).unwrap();
        // SAFETY: so many pointers are valid, and there is room for as many positions.
        unsafe {
            rte_hash_lookup_bulk(self.hash, pointers.as_ptr(), count, positions.as_mut_ptr());
        }
        for (&position, value) in positions.iter().zip(values) {
            let known = usize::try_from(position).ok().and_then(|at| self.values.get(at));
            *value = known.copied().unwrap_or(MISS);
        }
    }
}
