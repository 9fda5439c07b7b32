// Merging devices: over random histories the result is one session that learned the union, bit for bit.
// Never here: messages that are refused (learn_merge_refusals.cpp).
#include <algorithm>

#include "tests/runtime/merge_fixture.h"

namespace {

using namespace edgecl_test;

constexpr uint32_t kDevices = 4, kBase = 100;

struct Device {
  std::unique_ptr<Session> session;
  uint64_t number = 0;
  std::vector<uint32_t> inside;  // rows learned and not taken back
};

// Devices and the messages that were ever sent.
struct Fleet {
  Fleet(const Model& model, const NamedRows& rows, uint32_t head, edgecl::RandomStream* random)
      : model(model), rows(rows), random(*random), config(merging(model, head)) {
    Bytes start;
    if (random->bounded(2) != 0) {  // what all of them begin with
      Session factory(model, config);
      CHECK(edgecl_device_set(factory.session, kBase, 0) == EDGECL_OK);
      for (uint32_t i = random->bounded(6); i > 0; i--) {
        base.push_back(random->bounded(rows.size()));
        CHECK(learn_row(&factory, rows, base.back()) == EDGECL_OK);
      }
      start = factory.state();
    }
    devices.resize(2 + random->bounded(kDevices - 1));
    for (Device& device : devices) {
      device.number = 1 + static_cast<uint64_t>(&device - devices.data()) * 0x100000001ull;
      device.session = std::make_unique<Session>(model, config);
      if (!start.empty()) CHECK(import(device.session.get(), start) == EDGECL_OK);
      CHECK(edgecl_device_set(device.session->session, device.number, 0) == EDGECL_OK);
    }
  }

  void forget(Device* device) {
    const uint32_t which = random.bounded(kColumns);
    const int32_t label = label_of(*device->session, kClassNames[which]);
    const auto of_class = [&](uint32_t r) { return rows.classes[r] == static_cast<int32_t>(which); };
    const bool own = std::any_of(device->inside.begin(), device->inside.end(), of_class);
    const bool others = label >= 0 && class_of(*device->session, label).rows_merged > 0;
    const edgecl_status status = edgecl_class_forget(device->session->session, label);
    CHECK(status == (label < 0 ? EDGECL_E_NOT_FOUND : others && !own ? EDGECL_E_UNSUPPORTED : EDGECL_OK));
    device->inside.erase(std::remove_if(device->inside.begin(), device->inside.end(), of_class), device->inside.end());
    if (status == EDGECL_OK) CHECK((label_of(*device->session, kClassNames[which]) >= 0) == others);
  }

  void event(Device* device) {
    Session* const session = device->session.get();
    std::vector<uint32_t>* const inside = &device->inside;
    switch (random.bounded(12)) {
      case 0:
        forget(device);
        break;
      case 1:
        CHECK_MESSAGE(import(session, session->state()) == EDGECL_OK, "%s", edgecl_session_error(session->session));
        break;
      case 2: {  // the power goes
        const Bytes state = session->state();
        device->session = std::make_unique<Session>(model, config);
        CHECK(import(device->session.get(), state) == EDGECL_OK && device->session->state() == state);
        break;
      }
      case 3:
        scores(session, rows);
        break;
      case 4:
        if (random.bounded(8) != 0) break;
        CHECK(edgecl_session_reset(session->session) == EDGECL_OK);
        inside->clear();
        break;
      case 5:
      case 6:
        sent.push_back(message_of(*session, random.bounded(2)));
        break;
      case 7:
      case 8:
        if (sent.empty()) break;
        CHECK_MESSAGE(merge(session, sent[random.bounded(static_cast<uint32_t>(sent.size()))]) == EDGECL_OK, "%s",
                      edgecl_session_error(session->session));
        break;
      case 9:
        if (inside->empty()) break;
        {
          const auto row = inside->begin() + random.bounded(static_cast<uint32_t>(inside->size()));
          CHECK(unlearn_row(session, rows, *row) == EDGECL_OK);
          inside->erase(row);
        }
        break;
      default:
        inside->push_back(random.bounded(rows.size()));
        CHECK(learn_row(session, rows, inside->back()) == EDGECL_OK);
    }
  }

  // All newest messages to all, in any order and repeatedly, some over others.
  void exchange() {
    std::vector<Bytes> newest;
    for (const Device& device : devices) newest.push_back(message_of(*device.session));
    for (Device& device : devices) {
      std::vector<Bytes> come = newest;
      come.insert(come.end(), sent.begin(), sent.end());
      come.insert(come.end(), newest.begin(), newest.end());
      for (size_t i = come.size(); i > 1; i--) std::swap(come[i - 1], come[random.bounded(static_cast<uint32_t>(i))]);
      for (const Bytes& message : come) CHECK(merge(device.session.get(), message) == EDGECL_OK);
    }
  }

  const Model& model;
  const NamedRows& rows;
  edgecl::RandomStream& random;
  edgecl_session_config config;
  std::vector<uint32_t> base;
  std::vector<Device> devices;
  std::vector<Bytes> sent;
};

}  // namespace

TEST(devices_that_have_all_messages_are_one_that_learned_everything) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  edgecl::RandomStream random = {33, 1, 0};
  uint32_t n_merged = 0;
  for (uint32_t history = 0; history < 1000 / kSweepStep; history++) {
    Fleet fleet(model, rows, kMergeHeads[history % kMergeHeadCount], &random);
    for (uint32_t event = random.bounded(60); event > 0; event--)
      fleet.event(&fleet.devices[random.bounded(static_cast<uint32_t>(fleet.devices.size()))]);
    // What a reset lost of the shared start comes back with any message of all.
    if (!fleet.base.empty()) {
      for (const Device& device : fleet.devices) fleet.sent.push_back(message_of(*device.session, EDGECL_DELTA_ALL));
    }
    fleet.exchange();
    std::vector<uint32_t> all;
    bool base_lives = false;
    for (uint32_t i = 1; i <= fleet.config.head_merges && i < 8; i++) {
      edgecl_device_info info = {};
      info.struct_size = sizeof info;
      if (edgecl_device_describe(fleet.devices[0].session->session, i, &info) != EDGECL_OK) break;
      base_lives = base_lives || info.device == kBase;
    }
    if (base_lives) all = fleet.base;
    for (const Device& device : fleet.devices) all.insert(all.end(), device.inside.begin(), device.inside.end());
    for (size_t i = all.size(); i > 1; i--) std::swap(all[i - 1], all[random.bounded(static_cast<uint32_t>(i))]);
    for (const Device& device : fleet.devices) {
      Session one(model, fleet.config);
      for (int32_t label = 0; label < static_cast<int32_t>(kColumns); label++) {
        if (class_of(*device.session, label).present == 0) continue;
        int32_t added;
        CHECK(edgecl_class_add(one.session, class_of(*device.session, label).name, &added) == EDGECL_OK);
      }
      for (const uint32_t row : all) CHECK(learn_row(&one, rows, row) == EDGECL_OK);
      CHECK_MESSAGE(Sums(*device.session) == Sums(one), "history %u, device %llu", history,
                    static_cast<unsigned long long>(device.number));
      CHECK_MESSAGE(scores(device.session.get(), rows) == scores(&one, rows), "history %u", history);
      const edgecl_device_info own = device_of(*device.session, 0);
      CHECK(own.device == device.number && own.rows == device.inside.size());
    }
    n_merged += !all.empty();
  }
  CHECK(n_merged > 800 / kSweepStep);
}

TEST(a_message_says_what_it_did) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  for (const uint32_t head : kMergeHeads) {
    Session a(model, merging(model, head)), b(model, merging(model, head)), c(model, merging(model, head));
    uint64_t number = 1;
    for (Session* session : {&a, &b, &c}) CHECK(edgecl_device_set(session->session, number++, 0) == EDGECL_OK);
    edgecl_merge_report report = fresh_report();
    CHECK(merge(&a, message_of(b), &report) == EDGECL_OK && report.n_devices == 0);  // it learned nothing yet
    for (uint32_t row = 0; row < 8; row++) CHECK(learn_row(row < 4 ? &a : &b, rows, row) == EDGECL_OK);
    const Bytes older = message_of(b);
    CHECK(unlearn_row(&b, rows, 7) == EDGECL_OK && device_of(b, 0).version == 5 && device_of(b, 0).rows == 3);
    const Bytes newer = message_of(b);
    CHECK(merge(&a, newer, &report) == EDGECL_OK && report.n_devices == 1 && report.n_new == 1);
    CHECK(report.rows_before == 4 && report.rows == 7);
    const std::string digest = a.digest();
    for (const Bytes& again : {newer, older, message_of(a), message_of(a, EDGECL_DELTA_ALL)}) {
      CHECK(merge(&a, again, &report) == EDGECL_OK && report.n_known == report.n_devices);
      CHECK(a.digest() == digest && report.rows == 7);
    }
    // C learns of B through A, then of its end from B itself.
    CHECK(merge(&c, message_of(a, EDGECL_DELTA_ALL), &report) == EDGECL_OK && report.n_new == 2);
    CHECK(Sums(c) == Sums(a) && message_of(c, EDGECL_DELTA_ALL) == message_of(a, EDGECL_DELTA_ALL));
    CHECK(edgecl_session_reset(b.session) == EDGECL_OK && device_of(b, 0).version == 6);
    CHECK(merge(&c, message_of(b), &report) == EDGECL_OK && report.n_newer == 1 && report.rows == 4);
    CHECK(merge(&c, message_of(a, EDGECL_DELTA_ALL), &report) == EDGECL_OK && report.n_known == 2);
    CHECK(edgecl_unmerge(c.session, 1) == EDGECL_OK && edgecl_unmerge(c.session, 1) == EDGECL_E_NOT_FOUND);
    CHECK(Sums(c).of_class.empty());
    CHECK(edgecl_unmerge(c.session, 2) == EDGECL_OK);
    Session fresh(model, merging(model, head));
    CHECK(edgecl_device_set(fresh.session, 3, 0) == EDGECL_OK && Sums(c) == Sums(fresh));
  }
}

// Classes that only others had are gone with their rows; declared ones stay.
TEST(classes_come_and_go_by_name) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  Session a(model, merging(model, EDGECL_HEAD_LDA)), b(model, merging(model, EDGECL_HEAD_LDA));
  CHECK(edgecl_device_set(a.session, 1, 0) == EDGECL_OK && edgecl_device_set(b.session, 2, 0) == EDGECL_OK);
  label_of(a, "dog", true);
  for (uint32_t row = 0; row < 24; row++) CHECK(learn_row(&b, rows, row) == EDGECL_OK);
  edgecl_merge_report report = fresh_report();
  CHECK(merge(&a, message_of(b), &report) == EDGECL_OK && report.n_classes_added == 3 && label_of(a, "dog") == 0);
  CHECK(class_of(a, label_of(a, "cat")).rows_merged > 0 && class_of(a, label_of(a, "cat")).samples_seen == 0);
  CHECK(edgecl_class_forget(a.session, label_of(a, "cat")) == EDGECL_E_UNSUPPORTED);
  CHECK(import(&a, a.state()) == EDGECL_OK);
  for (const char* name : kClassNames) CHECK(edgecl_class_forget(b.session, label_of(b, name)) == EDGECL_OK);
  CHECK(merge(&a, message_of(b), &report) == EDGECL_OK && report.n_classes_gone == 3 && report.rows == 0);
  CHECK(label_of(a, "cat") < 0 && label_of(a, "dog") == 0);
}

// Also those of a state that all began with.
TEST(classes_of_a_common_start_go_with_it) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  const edgecl_session_config config = merging(model, EDGECL_HEAD_NCM);
  Session factory(model, config), robot(model, config);
  CHECK(edgecl_device_set(factory.session, kBase, 0) == EDGECL_OK);
  for (uint32_t row = 0; row < 24; row++) CHECK(learn_row(&factory, rows, row) == EDGECL_OK);
  CHECK(import(&robot, factory.state()) == EDGECL_OK && edgecl_device_set(robot.session, 1, 0) == EDGECL_OK);
  for (uint32_t row = 0; row < 24; row++) {
    if (rows.name(row) == kClassNames[1]) CHECK(learn_row(&robot, rows, row) == EDGECL_OK);
  }
  for (int32_t label = 0; label < static_cast<int32_t>(kColumns); label++)
    CHECK(edgecl_class_forget(factory.session, label) == EDGECL_OK);
  edgecl_merge_report report = fresh_report();
  CHECK(merge(&robot, message_of(factory), &report) == EDGECL_OK && report.n_classes_gone == kColumns - 1);
  CHECK(label_of(robot, kClassNames[0]) < 0 && label_of(robot, kClassNames[1]) >= 0);
}

TEST(a_session_may_become_another_device) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  for (const uint32_t head : kMergeHeads) {
    Session a(model, merging(model, head, 2)), other(model, merging(model, head, 2));
    for (uint32_t row = 0; row < 20; row++) CHECK(learn_row(&a, rows, row) == EDGECL_OK);
    CHECK(device_of(a, 0).device == 0 && device_of(a, 0).version == 0);
    CHECK(edgecl_device_set(a.session, 7, 50) == EDGECL_OK && device_of(a, 0).version == 50);
    const Sums before(a);
    const Bytes as_seven = message_of(a);
    CHECK(edgecl_device_set(a.session, 8, 0) == EDGECL_OK && device_of(a, 0).rows == 0 && device_of(a, 1).rows == 20);
    CHECK(unlearn_row(&a, rows, 0) == EDGECL_E_NOT_FOUND && Sums(a) == before);
    CHECK(learn_row(&a, rows, 20) == EDGECL_OK && device_of(a, 0).version == 1);
    edgecl_merge_report report = fresh_report();
    CHECK(merge(&a, as_seven, &report) == EDGECL_OK && report.n_known == 1);
    CHECK(merge(&other, message_of(a, EDGECL_DELTA_ALL)) == EDGECL_OK && Sums(other) == Sums(a));
    const std::string digest = a.digest();
    CHECK(edgecl_device_set(a.session, 9, 0) == EDGECL_OK && learn_row(&a, rows, 21) == EDGECL_OK);
    const std::string full = a.digest();
    CHECK(edgecl_device_set(a.session, 10, 0) == EDGECL_E_CAPACITY && a.digest() == full && digest != full);
    // Back to what it was.
    CHECK(edgecl_device_set(a.session, 7, 0) == EDGECL_OK && device_of(a, 0).rows == 20);
    CHECK(device_of(a, 0).version == 50 && message_of(a) == as_seven);
    CHECK(unlearn_row(&a, rows, 0) == EDGECL_OK && device_of(a, 0).version == 51);
  }
}

// A state with parts goes into a session with more room, or one that only reads; not into one with less.
TEST(a_state_with_devices_goes_out_and_in) {
  const Model model(mlp());
  const NamedRows rows(model, 24);
  for (const uint32_t head : kMergeHeads) {
    const edgecl_session_config config = merging(model, head, 3);
    Session a(model, config);
    CHECK(edgecl_device_set(a.session, 50, 0) == EDGECL_OK);
    for (uint32_t row = 0; row < 18; row++) {
      Session b(model, config);
      CHECK(edgecl_device_set(b.session, 40 + row / 6 * 20, 0) == EDGECL_OK);
      for (uint32_t i = row / 6 * 6; i <= row; i++) CHECK(learn_row(&b, rows, i) == EDGECL_OK);
      CHECK(merge(&a, message_of(b)) == EDGECL_OK && learn_row(&a, rows, row) == EDGECL_OK);
    }
    const Bytes state = a.state();
    edgecl_sizes sizes = {};
    sizes.struct_size = sizeof sizes;
    CHECK(edgecl_session_sizes(model.model, &config, &sizes, nullptr) == EDGECL_OK);
    CHECK(state.size() <= sizes.state_bytes_max && sizes.arena_bytes == a.stats().arena_bytes);
    edgecl_session_config reading = merging(model, head, 0);
    reading.predict_only = 1;
    Session more(model, merging(model, head, 9)), less(model, merging(model, head, 2)), reader(model, reading);
    CHECK(import(&more, state) == EDGECL_OK && Sums(more) == Sums(a) && message_of(more) == message_of(a));
    CHECK(message_of(more, EDGECL_DELTA_ALL) == message_of(a, EDGECL_DELTA_ALL));
    CHECK(import(&less, state) == EDGECL_E_STATE_MISMATCH);
    CHECK(strstr(edgecl_session_error(less.session), "head_merges") != nullptr);
    CHECK_MESSAGE(import(&reader, state) == EDGECL_OK, "%s", edgecl_session_error(reader.session));
    CHECK(scores(&reader, rows) == scores(&a, rows));
    CHECK(merge(&reader, message_of(a)) == EDGECL_E_UNSUPPORTED);
  }
}

RUN_TESTS()
