/* Loads the shared library for iobuf_so_peer.h, proves that it is the one that is called, and registers the works. */
#include <dlfcn.h>
#include <unistd.h>

#include <climits>

#include "cases/alloc_release.h"
#include "cases/batch.h"
#include "cases/frame.h"
#include "cases/window.h"
#include "peers/iobuf_so_peer.h"
#include "peers/peers.h"

namespace bench
{

IobufSoPeer::Table IobufSoPeer::so;

namespace
{

/* The library's place is known relative to this program's. */
std::string library_path()
{
    char self[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
    const std::string program(self, length > 0 ? static_cast<std::size_t>(length) : 0);
    return program.substr(0, program.rfind('/') + 1) + IOBUF_BENCH_SHARED_LIBRARY;
}

const void *image_of(const void *address)
{
    Dl_info info;
    return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

/* False if the library does not have it, or has it from elsewhere. */
template <class Function> bool find(void *library, const void *image, const char *symbol, Function *function)
{
    void *const address = dlsym(library, symbol);
    *function = reinterpret_cast<Function>(address);
    return address != nullptr && image_of(address) == image;
}

std::string fill(IobufSoPeer::Table *table)
{
    const std::string path = library_path();
    void *const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
        return dlerror();
    const void *const image = image_of(dlsym(library, "iobuf_strerror"));
    if (image == nullptr || image == image_of(reinterpret_cast<const void *>(library_path)))
        return path + " is not an image of its own";
    const bool found = find(library, image, "iobuf_pool_create", &table->pool_create) &&
                       find(library, image, "iobuf_pool_close", &table->pool_close) &&
                       find(library, image, "iobuf_pool_stats_get", &table->pool_stats_get) &&
                       find(library, image, "iobuf_allocator_init", &table->allocator_init) &&
                       find(library, image, "iobuf_allocator_release", &table->allocator_release) &&
                       find(library, image, "iobuf_alloc", &table->alloc) &&
                       find(library, image, "iobuf_slice_release", &table->slice_release) &&
                       find(library, image, "iobuf_slice_expand_front", &table->slice_expand_front) &&
                       find(library, image, "iobuf_slices_to_iovec", &table->slices_to_iovec);
    return found ? "" : path + " lacks a call that is needed";
}

std::string version()
{
    return std::to_string(IOBUF_VERSION_MAJOR) + "." + std::to_string(IOBUF_VERSION_MINOR) + "." +
           std::to_string(IOBUF_VERSION_PATCH) + " through the shared library, not inlined";
}

void register_cases(const Traces &traces)
{
    register_alloc_release<IobufSoPeer>();
    register_batch<IobufSoPeer>();
    register_window<IobufSoPeer>();
    register_frame<IobufSoPeer>(traces);
}

} // namespace

std::string IobufSoPeer::load()
{
    static const std::string problem = fill(&so);
    return problem;
}

extern const PeerEntry kIobufSoPeer;
const PeerEntry kIobufSoPeer = {IobufSoPeer::name, version, IobufSoPeer::load, register_cases};

} // namespace bench
