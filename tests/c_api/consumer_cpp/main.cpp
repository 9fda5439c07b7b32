// A program of a user in C++17: owners for both objects, and the hooks that a host program sets.
// Never here: anything but edgecl.h and the standard library.
#include <edgecl/edgecl.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

struct CloseModel {
  void operator()(edgecl_model* model) const {
    if (edgecl_model_close(model) != EDGECL_OK) std::fputs("the model is still in use\n", stderr);
  }
};
struct DestroySession {
  void operator()(edgecl_session* session) const { edgecl_session_destroy(session); }
};
using Model = std::unique_ptr<edgecl_model, CloseModel>;
using Session = std::unique_ptr<edgecl_session, DestroySession>;

void run_in_parallel(void*, std::uint32_t n, void (*body)(void*, std::uint32_t), void* context) {
  std::vector<std::thread> threads;
  for (std::uint32_t i = 1; i < n; i++) threads.emplace_back(body, context, i);
  if (n > 0) body(context, 0);
  for (std::thread& thread : threads) thread.join();
}

std::uint64_t now_us(void*) {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count());
}

// Learns ten steps and returns the digest of the state; empty on failure.
std::string learn(edgecl_model* model, std::uint32_t n_threads) {
  edgecl_model_info info{};
  info.struct_size = sizeof info;
  edgecl_session_config config{};
  config.struct_size = sizeof config;
  edgecl_error err{};
  err.struct_size = sizeof err;
  if (edgecl_model_describe(model, &info) != EDGECL_OK || edgecl_session_config_init(model, &config) != EDGECL_OK)
    return {};
  config.max_batch = 2;
  config.add_unseen_labels = 1;
  config.n_threads = n_threads;
  edgecl_hooks hooks{};
  hooks.struct_size = sizeof hooks;
  hooks.parallel_for = run_in_parallel;
  hooks.now_us = now_us;
  edgecl_session_options options{};
  options.struct_size = sizeof options;
  options.hooks = &hooks;
  edgecl_session* made = nullptr;
  if (edgecl_session_create(model, &config, &options, &made, &err) != EDGECL_OK) {
    std::fprintf(stderr, "session: %s\n", err.message);
    return {};
  }
  const Session session(made);
  std::vector<edgecl_profile_event> events(4096);
  if (edgecl_profile_start(session.get(), events.data(), sizeof events[0], events.size()) != EDGECL_OK) return {};
  std::vector<float> samples(2 * info.input_elements);
  for (int step = 0; step < 10; step++) {
    for (std::size_t i = 0; i < samples.size(); i++)
      samples[i] = static_cast<float>((i * 7 + static_cast<std::size_t>(step) * 3) % 11) / 11.0f;
    const std::int32_t labels[] = {0, 1};
    const edgecl_batch batch{sizeof batch, EDGECL_F32, 2, 0, samples.data(), info.input_elements, nullptr, nullptr};
    if (edgecl_learn(session.get(), &batch, labels, nullptr) != EDGECL_OK) {
      std::fprintf(stderr, "learn: %s\n", edgecl_session_error(session.get()));
      return {};
    }
  }
  std::size_t n_events = 0, n_dropped = 0;
  if (edgecl_profile_stop(session.get(), &n_events, &n_dropped) != EDGECL_OK || n_events == 0) return {};
  std::uint8_t digest[32];
  if (edgecl_state_digest(session.get(), digest) != EDGECL_OK) return {};
  return std::string(reinterpret_cast<const char*>(digest), sizeof digest);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  edgecl_error err{};
  err.struct_size = sizeof err;
  edgecl_model* opened = nullptr;
  if (edgecl_model_open_file(argv[1], nullptr, &opened, &err) != EDGECL_OK) {
    std::fprintf(stderr, "open: %s\n", err.message);
    return 1;
  }
  const Model model(opened);
  const std::string one = learn(model.get(), 1), three = learn(model.get(), 3);
  std::printf("one thread and three: %s\n", one == three ? "the same state" : "DIFFERENT states");
  return !one.empty() && one == three ? 0 : 1;
}
