//! Compares the parsers on bytes of any kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| oasis_data_fuzz::compare(text));
