//! Compares the parsers on numbers and near-numbers. Random bytes alone would hardly
//! ever make a number that has to be rounded.
#![no_main]

const CHARACTERS: &[u8; 16] = b"0123456789+-.eE,";

libfuzzer_sys::fuzz_target!(|choices: &[u8]| {
    let characters = choices.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut text = b"[".to_vec();
    text.extend(characters.map(|choice| CHARACTERS[usize::from(choice)]));
    text.push(b']');
    oasis_data_fuzz::compare(&text);
});
