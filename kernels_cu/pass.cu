// Several kernels in one pass over the volumes of a batch: on the host, a volume goes through all of them while it lies
// in the cache.
//
// Stage s takes `blocks` blocks for each volume, those of volume v from v blocks on. What one stage writes for another
// alone is never in the tensor that its argument names: for each such tensor a thread has memory for one volume, and
// the address is moved so that volume v is found there.
//
// Only the host has this file. A graphics processor launches the kernels one after the other, with the same result: no
// block reads a volume that is not its own.
#include "machine_host.cuh"

struct Stage {
    void (*block)(int block, unsigned char* shared, void** arguments);
    void** arguments;
    const int* handed;  // for each argument the number of the memory that stands for its tensor, or -1
    int count;          // of the arguments
    int blocks;
};

struct Pass {
    Launch launch;  // a block for each volume
    const Stage* stages;
    int count;
    long long volume_bytes;
    long long memory_bytes;  // from one memory to the next
    int memories;
};

extern "C" void run_pass(const Pass* pass) {
    run_grid(pass->launch, [&] {
        const int volume = block();
        unsigned char* const memory = shared_memory();
        for (const Stage* stage = pass->stages; stage < pass->stages + pass->count; stage++) {
            std::vector<void*> arguments(stage->arguments, stage->arguments + stage->count);
            std::vector<uintptr_t> moved(stage->count);
            for (int n = 0; n < stage->count; n++) {
                if (stage->handed[n] < 0) continue;
                moved[n] = reinterpret_cast<uintptr_t>(memory) + stage->handed[n] * pass->memory_bytes -
                           volume * pass->volume_bytes;
                arguments[n] = &moved[n];
            }
            unsigned char* const shared = memory + pass->memories * pass->memory_bytes;
            for (int n = 0; n < stage->blocks; n++) stage->block(volume * stage->blocks + n, shared, arguments.data());
        }
    });
}
