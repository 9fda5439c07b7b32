// What other devices have in a domain's routing beside sums: held-out rows, and how many rows there are.
// Never here: sums (heads/parts.cpp), messages.
#include <string.h>

#include "runtime/adapt/routing.h"

namespace edgecl {
namespace {

uint64_t list_numbers(const RoutingModel& model) {
  return static_cast<uint64_t>(kHeldRows) * model.statistics.size.dim;
}
int16_t* held_of(const RoutingModel& model, uint32_t part) {
  return model.others_held + part * list_numbers(model);
}

}  // namespace

bool HeldLists::next(const int16_t** rows, uint32_t* n) {
  const DeviceTable* const devices = model_.statistics.parts.devices;
  uint32_t part = kNoPart;
  const bool own_alone = devices == nullptr || devices->own->device == 0;  // it has no number, or there are no others
  if (own_alone && begun_) {
    if (devices == nullptr || !next_device(*devices, false, previous_, &part)) return false;
  } else if (!own_alone) {
    if (!next_device(*devices, true, previous_, &part)) return false;
  }
  begun_ = true;
  if (part != kNoPart || !own_alone) previous_ = part == kNoPart ? devices->own->device : devices->ids[part].device;
  *rows = part == kNoPart ? model_.held : held_of(model_, part);
  *n = part == kNoPart ? model_.held_fill : model_.others[part].held_fill;
  return true;
}

uint32_t routing_n_held(const RoutingModel& model) {
  uint32_t n = model.held_fill;
  for (uint32_t part = 0; part < model.statistics.parts.fill(); part++) n += model.others[part].held_fill;
  return n;
}

void empty_routing_part(uint32_t part, RoutingModel* model) {
  empty_part(part, &model->statistics);
  model->others[part] = {};
  memset(held_of(*model, part), 0, list_numbers(*model) * sizeof(int16_t));
}

void move_routing_part(uint32_t from, uint32_t to, RoutingModel* model) {
  if (from != to) {
    model->others[to] = model->others[from];
    memcpy(held_of(*model, to), held_of(*model, from), list_numbers(*model) * sizeof(int16_t));
  }
  move_part(from, to, &model->statistics);
  empty_routing_part(from, model);
}

void swap_own_held(uint32_t part, uint64_t* rows, RoutingModel* model) {
  RoutingPart* const other = &model->others[part];
  const RoutingPart own = {*rows, model->held_fill, 0};
  *rows = other->rows;
  model->held_fill = other->held_fill;
  *other = own;
  int16_t* const theirs = held_of(*model, part);
  for (uint64_t i = 0; i < list_numbers(*model); i++) {
    const int16_t x = model->held[i];
    model->held[i] = theirs[i];
    theirs[i] = x;
  }
}

void take_over_held(uint32_t part, uint64_t* rows, RoutingModel* model) {
  const uint64_t dim = model->statistics.size.dim;
  RoutingPart* const other = &model->others[part];
  const uint32_t room = kHeldRows - model->held_fill, n = other->held_fill < room ? other->held_fill : room;
  memmove(model->held + n * dim, model->held, model->held_fill * dim * sizeof(int16_t));
  memcpy(model->held, held_of(*model, part) + (other->held_fill - n) * dim, n * dim * sizeof(int16_t));
  model->held_fill += n;
  *rows += other->rows;
  *other = {};
}

}  // namespace edgecl
