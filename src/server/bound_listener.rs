//! Binds the places where a service listens: addresses and ports, and Unix sockets, whose files are replaced if their
//! process is gone and removed at the end.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

/// The kernel's queue of connections that no worker has accepted yet. If it is full, clients retry only after
/// a second, so it is as large as the kernel usually allows.
const BACKLOG: i32 = 4096;

/// A listener and where it came from.
pub(super) struct BoundListener {
    /// The file of a Unix socket that this process made. Dropped while the socket still listens, so that no other
    /// process takes the file for a stale one and replaces it.
    file: Option<Arc<SocketFile>>,
    socket: ListeningSocket,
    /// Whether systemd passed it, and keeps it when this process ends.
    pub(super) is_inherited: bool,
}

/// A listening socket.
pub(super) enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl BoundListener {
    /// Binds a port, even one that a terminated process used a moment ago.
    ///
    /// # Errors
    /// If the address isn't available.
    pub(super) fn tcp(address: SocketAddr) -> io::Result<BoundListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket).into())
    }

    /// Makes a Unix socket that users with the permissions `mode` may connect to. Replaces the socket of a process that
    /// is gone.
    ///
    /// # Errors
    /// If a process listens there, the file isn't a socket, or its folder isn't writable.
    pub(super) fn unix(path: &Path, mode: u32) -> io::Result<BoundListener> {
        // Held until the new socket listens, so that two starting processes don't replace each other's.
        let _turn = lock_folder(path)?;
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = SocketFile::of(path)?;
        // Nobody can connect before it listens, so nobody does with other permissions.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let socket = ListeningSocket::Unix(UnixListener::from(socket));
        Ok(BoundListener { file: Some(Arc::new(file)), socket, is_inherited: false })
    }

    /// Takes a socket that systemd passed.
    pub(super) fn inherited(socket: ListeningSocket) -> BoundListener {
        BoundListener { file: None, socket, is_inherited: true }
    }

    /// Returns a second handle of the same socket.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub(super) fn try_clone(&self) -> io::Result<BoundListener> {
        let socket = self.socket.try_clone()?;
        Ok(BoundListener { file: self.file.clone(), socket, is_inherited: self.is_inherited })
    }

    /// Returns whether it accepts connections.
    ///
    /// # Errors
    /// If the kernel doesn't say.
    pub(super) fn listens(&self) -> io::Result<bool> {
        match &self.socket {
            ListeningSocket::Tcp(listener) => SockRef::from(listener).is_listener(),
            ListeningSocket::Unix(listener) => SockRef::from(listener).is_listener(),
        }
    }

    /// Returns the socket alone. Its file is removed when the other handles are dropped.
    pub(super) fn into_socket(self) -> ListeningSocket {
        self.socket
    }

    /// Returns its address and port, if it has one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            ListeningSocket::Tcp(listener) => listener.local_addr().ok(),
            ListeningSocket::Unix(_) => None,
        }
    }
}

impl From<TcpListener> for BoundListener {
    fn from(listener: TcpListener) -> BoundListener {
        BoundListener { file: None, socket: ListeningSocket::Tcp(listener), is_inherited: false }
    }
}

impl ListeningSocket {
    fn try_clone(&self) -> io::Result<ListeningSocket> {
        Ok(match self {
            ListeningSocket::Tcp(listener) => ListeningSocket::Tcp(listener.try_clone()?),
            ListeningSocket::Unix(listener) => ListeningSocket::Unix(listener.try_clone()?),
        })
    }
}

/// The file of a Unix socket. It is removed when the last handle of the listener is dropped.
struct SocketFile {
    path: PathBuf,
    /// Its file system and number, by which another process's file at the same path is recognized.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile { path: path.to_owned(), identity: identity_of(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity_of(&self.path).is_ok_and(|found| found == self.identity) {
            // What stays is replaced at the next start.
            let _removed = fs::remove_file(&self.path);
        }
    }
}

fn identity_of(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Locks the folder of a socket for as long as the returned handle lives.
fn lock_folder(path: &Path) -> io::Result<File> {
    let folder = File::open(path.parent().unwrap_or(path))?;
    rustix::fs::flock(&folder, FlockOperation::LockExclusive)?;
    Ok(folder)
}

/// Removes a socket on which nobody listens.
fn remove_stale(path: &Path) -> io::Result<()> {
    match find_stale(path)? {
        true => fs::remove_file(path),
        false => Ok(()),
    }
}

/// Returns whether a start would replace a socket at `path` that a process left; otherwise nothing is there.
///
/// # Errors
/// [`ErrorKind::AddrInUse`] if a process listens there, [`ErrorKind::AlreadyExists`] if the file isn't a socket, or why
/// that can't be found out.
pub fn find_stale(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is not a socket"));
        }
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The queue of a process that listens may be full.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
        Err(error) => Err(error),
    }
}
