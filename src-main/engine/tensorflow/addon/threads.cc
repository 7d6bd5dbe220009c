// A small pool for our own kernels: the caller works too, and waits a moment for the next loop before it sleeps. Each thread has the
// same share of every loop, so that it finds in its own cache what it wrote in the loop before; who is done takes from the others'.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels.h"

namespace kernels {
namespace {

struct Pool {
  std::mutex mutex, oneAtATime;
  std::condition_variable wake;
  std::vector<std::thread> workers;
  std::atomic<uint64_t> generation{0};
  /** what is left of a thread's share */
  struct alignas(64) Range {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::deque<Range> ranges = std::deque<Range>(1);  // one a thread, the caller's first; a deque, as an atomic can't be moved
  std::atomic<int> busy{0};
  void (*body)(void*, int64_t) = nullptr;
  void* context = nullptr;

  void work(int own) {
    for (size_t turn = 0; turn < ranges.size(); turn++) {
      Range& range = ranges[(own + turn) % ranges.size()];
      for (int64_t i; (i = range.next.fetch_add(1)) < range.end;) body(context, i);
    }
  }
  void serve(uint64_t seen, int own) {
    for (;;) {
      for (int spin = 0; spin < 2000 && generation.load() == seen; spin++) __builtin_ia32_pause();
      if (generation.load() == seen) {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return generation.load() != seen; });
      }
      seen = generation.load();
      work(own);
      busy.fetch_sub(1);
    }
  }
  void resize(int threads) {
    while (static_cast<int>(workers.size()) < threads - 1) {
      ranges.emplace_back();
      workers.emplace_back([this, now = generation.load(), own = static_cast<int>(workers.size()) + 1] { serve(now, own); });
      workers.back().detach();
    }
  }
};

// never destroyed: its threads live as long as the process
Pool& pool() {
  static Pool* p = new Pool;
  return *p;
}

}  // namespace

void setThreads(int count) {
  std::lock_guard<std::mutex> guard(pool().oneAtATime);
  pool().resize(count);
}

int threads() { return static_cast<int>(pool().workers.size()) + 1; }

void parallel(int64_t count, void (*body)(void*, int64_t), void* context) {
  Pool& p = pool();
  if (count <= 1 || p.workers.empty() || !p.oneAtATime.try_lock()) {
    for (int64_t i = 0; i < count; i++) body(context, i);
    return;
  }
  std::lock_guard<std::mutex> guard(p.oneAtATime, std::adopt_lock);
  {
    std::lock_guard<std::mutex> lock(p.mutex);
    p.body = body;
    p.context = context;
    int64_t shares = p.ranges.size();
    for (int64_t t = 0; t < shares; t++) {
      p.ranges[t].end = count * (t + 1) / shares;
      p.ranges[t].next.store(count * t / shares);
    }
    p.busy.store(static_cast<int>(p.workers.size()));
    p.generation.fetch_add(1);
  }
  p.wake.notify_all();
  p.work(0);
  // on a busy machine a worker may be waiting for a processor: leave it ours
  for (int spin = 0; p.busy.load() > 0; spin++) spin < 4000 ? __builtin_ia32_pause() : std::this_thread::yield();
}

}  // namespace kernels
