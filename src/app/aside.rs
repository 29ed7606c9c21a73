//! Work that takes long, beside the requests: on a thread of its own that gives way to those that serve them.

use std::thread;

use tokio::sync::oneshot;

/// Does it, and waits for it. `None`: it broke off, or there is no thread for it.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, waits) = oneshot::channel();
    begin(move || {
        // An error means that nobody waits any more.
        let _ = done.send(work());
    });
    waits.await.ok()
}

/// Begins it; nobody waits for it.
pub(super) fn begin(work: impl FnOnce() + Send + 'static) {
    let yielding = move || {
        give_way();
        work();
    };
    // Without a thread the work is not done; what it holds is dropped here, and whoever waits is told so.
    let _ = thread::Builder::new().name("aside".into()).spawn(yielding);
}

/// Lowers the priority of the calling thread, a little only: a right that is taken away must not wait for a quiet
/// moment.
#[cfg(target_os = "linux")]
fn give_way() {
    // Elsewhere than on Linux this would be about the whole process. Without it everything works, less smoothly.
    if let Ok(nice) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, nice.saturating_add(NICE));
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

/// About a third of the weight of a thread that serves requests.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_done_aside_comes_back_and_a_panic_there_is_told() {
        let here = thread::current().id();
        assert_ne!(aside(|| thread::current().id()).await, Some(here));
        assert_eq!(aside(|| -> u8 { panic!("on purpose") }).await, None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn it_gives_way_and_leaves_the_others_as_they_are() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        assert_eq!(aside(nice).await, Some((before + NICE).min(19)));
        assert_eq!(nice(), before);
    }
}
