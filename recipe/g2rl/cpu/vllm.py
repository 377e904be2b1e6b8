"""What vLLM's processes need on a CPU; `recipe.g2rl.vllm_plugin` calls `register`.

Two replacements, for which vLLM has no hook, make verl's weight updates reach the weights that its CPU build computes
with.
"""

import torch


def register() -> None:
    # vLLM's sampler compiles small functions with torch.compile, which needs a C++ compiler on a CPU; many images have
    # none.
    torch.compiler.set_stance("force_eager")

    from vllm.model_executor.layers.linear import UnquantizedLinearMethod

    UnquantizedLinearMethod.process_weights_after_loading = _pack_and_keep_weight  # type: ignore[method-assign]

    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver

    receive_weights = BucketedWeightReceiver.receive_weights

    def receive_copies(self, on_bucket_received) -> None:
        # `tensor.to(device)` copies out of the shared buffer only across devices: on the CPU verl hands out views of it
        # and then cannot close it. So in verl 0.9.1.
        receive_weights(
            self, lambda weights, is_last: on_bucket_received([(name, w.clone()) for name, w in weights], is_last)
        )

    BucketedWeightReceiver.receive_weights = receive_copies  # type: ignore[method-assign]


def _pack_and_keep_weight(self, layer) -> None:
    # vLLM packs the weight for its CPU kernels and drops the original, so that a later update finds nothing to load
    # into. Keeping it lets verl load and pack again after each update. vLLM 0.27.1 drops it always.
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    dispatch_cpu_unquantized_gemm(layer, remove_weight=False)
