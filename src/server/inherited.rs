//! The sockets that systemd passes to this process (sd_listen_fds(3)). They stay open while it waits for another
//! process, and each attempt to start gets handles of its own.

use std::io;
use std::sync::{Mutex, PoisonError};

use listenfd::ListenFd;

use crate::server::bound_listener::{BoundListener, ListeningSocket};

/// The sockets of this process with their names, once they are taken from its environment.
static PASSED: Mutex<Option<Vec<(String, BoundListener)>>> = Mutex::new(None);

/// Returns handles of the sockets called `name`. `names` are the names of all sockets that were passed, in their order.
///
/// # Errors
/// If a descriptor isn't a listening stream socket, or none is left for another handle.
pub(super) fn sockets(name: &str, names: &[String]) -> io::Result<Vec<BoundListener>> {
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    let passed = match &mut *passed {
        Some(passed) => passed,
        none => none.insert(take(names)?),
    };
    passed.iter().filter(|(own, _)| own == name).map(|(_, listener)| listener.try_clone()).collect()
}

fn take(names: &[String]) -> io::Result<Vec<(String, BoundListener)>> {
    let mut descriptors = ListenFd::from_env();
    let mut taken = Vec::new();
    for index in 0..descriptors.len() {
        // A descriptor of the wrong kind stays where it is.
        let socket = match descriptors.take_tcp_listener(index) {
            Ok(listener) => listener.map(ListeningSocket::Tcp),
            Err(_) => descriptors.take_unix_listener(index)?.map(ListeningSocket::Unix),
        };
        let name = names.get(index).cloned().unwrap_or_default();
        if let Some(socket) = socket {
            let listener = BoundListener::inherited(socket);
            if !listener.listens()? {
                let problem = format!("the socket `{name}` from systemd doesn't listen");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
            taken.push((name, listener));
        }
    }
    Ok(taken)
}
