//! Masking keys. They cannot be predicted from each other (RFC 6455, 5.3).

use std::cell::RefCell;

/// The number of keys that are drawn from the system's random generator at a time.
const BATCH: usize = 256;

/// Keys that have been drawn. Each is used once.
struct MaskKeys {
    keys: Box<[u8; 4 * BATCH]>,
    used: usize,
}

thread_local! {
    static KEYS: RefCell<MaskKeys> = RefCell::new(MaskKeys {
        keys: Box::new([0; 4 * BATCH]),
        used: BATCH,
    });
}

/// Returns a new masking key.
///
/// # Errors
///
/// If the system's random generator fails.
pub(crate) fn next() -> Result<[u8; 4], getrandom::Error> {
    KEYS.with_borrow_mut(|drawn| {
        if drawn.used == BATCH {
            getrandom::fill(&mut drawn.keys[..])?;
            drawn.used = 0;
        }
        let at = 4 * drawn.used;
        drawn.used += 1;
        let key = &mut drawn.keys[at..at + 4];
        let next = [key[0], key[1], key[2], key[3]];
        key.fill(0);
        Ok(next)
    })
}
