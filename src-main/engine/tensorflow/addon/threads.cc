// A small pool for our own kernels: the caller works too, and waits a moment for the next loop before it sleeps.
#include <atomic>
#include <condition_variable>
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
  std::atomic<int64_t> next{0};
  std::atomic<int> busy{0};
  int64_t count = 0;
  void (*body)(void*, int64_t) = nullptr;
  void* context = nullptr;

  void work() {
    for (int64_t i; (i = next.fetch_add(1)) < count;) body(context, i);
  }
  void serve(uint64_t seen) {
    for (;;) {
      for (int spin = 0; spin < 2000 && generation.load() == seen; spin++) __builtin_ia32_pause();
      if (generation.load() == seen) {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return generation.load() != seen; });
      }
      seen = generation.load();
      work();
      busy.fetch_sub(1);
    }
  }
  void resize(int threads) {
    while (static_cast<int>(workers.size()) < threads - 1) {
      workers.emplace_back([this, now = generation.load()] { serve(now); });
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
    p.count = count;
    p.body = body;
    p.context = context;
    p.next.store(0);
    p.busy.store(static_cast<int>(p.workers.size()));
    p.generation.fetch_add(1);
  }
  p.wake.notify_all();
  p.work();
  // on a busy machine a worker may be waiting for a processor: leave it ours
  for (int spin = 0; p.busy.load() > 0; spin++) spin < 4000 ? __builtin_ia32_pause() : std::this_thread::yield();
}

}  // namespace kernels
