#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| we_fuzz::url::run(data));
