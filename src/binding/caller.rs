//! Calls JavaScript with the events in the inbox.

use std::cell::Cell;
use std::ptr;

use napi::bindgen_prelude::{FnArgs, Function, Object, Result};
use napi::{sys, Env, Error, JsValue};

use crate::engine::inbox::Filled;

/// Calls the JavaScript function that processes events.
pub(super) struct Caller {
    env: sys::napi_env,
    function: sys::napi_ref,
    context: sys::napi_async_context,
    /// The number of the batch. By it, JavaScript recognises a further call for
    /// the same batch.
    batch: Cell<u32>,
}

/// The result of a call.
enum Called {
    Returned,
    /// The function has returned, and wants to be called again for the remaining events.
    ForMore,
    Threw,
    /// JavaScript can no longer run.
    Over,
}

impl Caller {
    pub(super) fn new(
        env: &Env,
        function: &Function<'_, FnArgs<(u32, u32, u32)>, bool>,
        resource: &Object<'_>,
    ) -> Result<Self> {
        let env = env.raw();
        let mut reference = ptr::null_mut();
        let mut name = ptr::null_mut();
        let mut context = ptr::null_mut();
        // SAFETY: this is the environment's thread, and the values belong to the environment.
        let statuses = unsafe {
            [
                sys::napi_create_reference(env, function.raw(), 1, &mut reference),
                sys::napi_create_string_utf8(env, c"OXWS".as_ptr(), 4, &mut name),
                sys::napi_async_init(env, resource.raw(), name, &mut context),
            ]
        };
        if statuses
            .iter()
            .any(|status| *status != sys::Status::napi_ok)
        {
            return Err(Error::from_reason("the engine cannot call JavaScript"));
        }
        Ok(Self {
            env,
            function: reference,
            context,
            batch: Cell::new(0),
        })
    }

    /// Releases what `new` created. The function must not be called after that.
    pub(super) fn release(&self) {
        // SAFETY: this is the environment's thread. What `new` created is released only once.
        unsafe {
            sys::napi_delete_reference(self.env, self.function);
            sys::napi_async_destroy(self.env, self.context);
        }
    }

    /// Calls the function with the number of rows in the inbox, the number of the
    /// batch, and the number of bytes in the inbox. Calls it again for the remaining
    /// rows if a listener throws, or if the function returns `true`. Ticks and promise
    /// callbacks run after each call.
    pub(super) fn dispatch(&self, filled: Filled) {
        self.batch.set(self.batch.get().wrapping_add(1));
        while let Called::Threw | Called::ForMore = self.call(filled) {}
    }

    fn call(&self, filled: Filled) -> Called {
        let env = self.env;
        // SAFETY: this is the environment's thread, and no other call is in progress.
        // Every value is used only within the handle scope.
        unsafe {
            let mut scope = ptr::null_mut();
            if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
                return Called::Over;
            }
            let mut function = ptr::null_mut();
            let mut receiver = ptr::null_mut();
            let mut arguments = [ptr::null_mut(); 3];
            let mut result = ptr::null_mut();
            sys::napi_get_reference_value(env, self.function, &mut function);
            sys::napi_get_global(env, &mut receiver);
            sys::napi_create_uint32(env, filled.rows as u32, &mut arguments[0]);
            sys::napi_create_uint32(env, self.batch.get(), &mut arguments[1]);
            sys::napi_create_uint32(env, filled.bytes as u32, &mut arguments[2]);
            let status = sys::napi_make_callback(
                env,
                self.context,
                receiver,
                function,
                arguments.len(),
                arguments.as_ptr(),
                &mut result,
            );
            let called = match status {
                sys::Status::napi_ok => {
                    let mut for_more = false;
                    sys::napi_get_value_bool(env, result, &mut for_more);
                    if for_more {
                        Called::ForMore
                    } else {
                        Called::Returned
                    }
                }
                sys::Status::napi_pending_exception => {
                    let mut error = ptr::null_mut();
                    sys::napi_get_and_clear_last_exception(env, &mut error);
                    match sys::napi_fatal_exception(env, error) {
                        sys::Status::napi_ok => Called::Threw,
                        _ => Called::Over,
                    }
                }
                _ => Called::Over,
            };
            sys::napi_close_handle_scope(env, scope);
            called
        }
    }
}
