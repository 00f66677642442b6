// One unit as a piece of a larger module: what its macros shape is its own, in the namespace UNIT.
#include "block.cuh"

namespace UNIT {
#include SOURCE
}
