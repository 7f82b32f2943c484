#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_core_fuzz::wire::run(bytes));
