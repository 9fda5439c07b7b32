/* Sizes and offsets of the public structs where pointers have 64 bits: a change is a break of the ABI and must be
 * meant. Never here: behaviour. Compiling is the test. */
#include <edgecl/edgecl.h>
#include <stddef.h>

#define PIN(name, condition) typedef char name[(condition) ? 1 : -1]

#if UINTPTR_MAX == 0xffffffffffffffffu
PIN(error_bytes, sizeof(edgecl_error) == 512);
PIN(allocator_bytes, sizeof(edgecl_allocator) == 32);
PIN(hooks_bytes, sizeof(edgecl_hooks) == 40);
PIN(model_info_bytes, sizeof(edgecl_model_info) == 224);
PIN(layer_info_bytes, sizeof(edgecl_layer_info) == 64);
PIN(config_bytes, sizeof(edgecl_session_config) == 192);
PIN(config_seed, offsetof(edgecl_session_config, seed) == 72);
PIN(sparsity_bytes, sizeof(edgecl_sparsity) == 64);
PIN(sizes_bytes, sizeof(edgecl_sizes) == 64);
PIN(batch_bytes, sizeof(edgecl_batch) == 32);
PIN(prediction_bytes, sizeof(edgecl_prediction) == 16);
PIN(report_bytes, sizeof(edgecl_learn_report) == 88);
PIN(rehearse_report_bytes, sizeof(edgecl_rehearse_report) == 16);
PIN(class_info_bytes, sizeof(edgecl_class_info) == 32);
PIN(stats_bytes, sizeof(edgecl_stats) == 168);
PIN(event_bytes, sizeof(edgecl_profile_event) == 32);
PIN(target_bytes, sizeof(edgecl_target) == 16 && offsetof(edgecl_target, level) == 8);
PIN(op_info_bytes, sizeof(edgecl_op_info) == 80);
#endif

/* Error numbers are for ever. */
PIN(status_argument,
    EDGECL_E_ARGUMENT == -1 && EDGECL_E_BUSY == -6 && EDGECL_E_NO_MEMORY == -20 && EDGECL_E_NOT_FOUND == -23);
PIN(status_bundle, EDGECL_E_BUNDLE_CORRUPT == -30 && EDGECL_E_STATE_CORRUPT == -40 && EDGECL_E_IO == -50);
PIN(status_numeric, EDGECL_E_NUMERIC == -60 && EDGECL_E_INTERNAL == -99);

int main(void) {
  return 0;
}
