// Preloaded into a process (LD_PRELOAD) by library-power-cut.ts: every change that it makes to files whose names begin with
// EFFILORA_TEST_ROOT is recorded in EFFILORA_TEST_RECORD in the order in which it happened, as a line and the bytes written.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace {

std::mutex lock;

/** The file of a descriptor, where it is one of those that are watched. */
bool watched(int file, char* name, size_t size) {
  static const char* root = std::getenv("EFFILORA_TEST_ROOT");
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, name, size - 1);
  if (length <= 0 || !root) return false;
  name[length] = 0;
  return std::strncmp(name, root, std::strlen(root)) == 0;
}

void put(const void* bytes, size_t count) {
  static const int record = open(std::getenv("EFFILORA_TEST_RECORD"), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (syscall(SYS_write, record, bytes, count) != static_cast<ssize_t>(count)) std::abort();
}

void note(const char* change, const char* name, long long at, const void* bytes, size_t count) {
  std::lock_guard<std::mutex> held(lock);
  char line[8192];
  const int length = std::snprintf(line, sizeof line, "%s %lld %zu %s\n", change, at, count, name);
  put(line, length);
  if (count) put(bytes, count);
}

template <typename Call>
Call next(const char* name) {
  return reinterpret_cast<Call>(dlsym(RTLD_NEXT, name));
}

ssize_t writeAt(const char* call, int file, const void* bytes, size_t count, off_t at) {
  const ssize_t written = next<ssize_t (*)(int, const void*, size_t, off_t)>(call)(file, bytes, count, at);
  char name[4096];
  if (written > 0 && watched(file, name, sizeof name)) note("write", name, at, bytes, written);
  return written;
}

int cut(const char* call, int file, off_t length) {
  const int result = next<int (*)(int, off_t)>(call)(file, length);
  char name[4096];
  if (result == 0 && watched(file, name, sizeof name)) note("cut", name, length, nullptr, 0);
  return result;
}

int sync(const char* call, int file) {
  const int result = next<int (*)(int)>(call)(file);
  char name[4096];
  if (result == 0 && watched(file, name, sizeof name)) note("sync", name, 0, nullptr, 0);
  return result;
}

}  // namespace

extern "C" {
ssize_t pwrite(int file, const void* bytes, size_t count, off_t at) { return writeAt("pwrite", file, bytes, count, at); }
ssize_t pwrite64(int file, const void* bytes, size_t count, off_t at) { return writeAt("pwrite64", file, bytes, count, at); }
int ftruncate(int file, off_t length) { return cut("ftruncate", file, length); }
int ftruncate64(int file, off_t length) { return cut("ftruncate64", file, length); }
int fsync(int file) { return sync("fsync", file); }
int fdatasync(int file) { return sync("fdatasync", file); }

ssize_t write(int file, const void* bytes, size_t count) {
  char name[4096];
  const bool isWatched = file > 2 && watched(file, name, sizeof name);
  const off_t at = isWatched ? lseek(file, 0, SEEK_CUR) : 0;
  const ssize_t written = next<ssize_t (*)(int, const void*, size_t)>("write")(file, bytes, count);
  if (isWatched && written > 0) note("write", name, at, bytes, written);
  return written;
}

int unlink(const char* name) {
  const int result = next<int (*)(const char*)>("unlink")(name);
  static const char* root = std::getenv("EFFILORA_TEST_ROOT");
  if (result == 0 && root && std::strncmp(name, root, std::strlen(root)) == 0) note("remove", name, 0, nullptr, 0);
  return result;
}
}
