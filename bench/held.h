/* Bytes held per byte live, measured where nothing else has used the heap: a helper process, forked before the program did
 * anything, forks once more for each question and lets that child do the work and count. So the answer depends neither on the
 * cases that ran before nor on their order, and counting costs the timed loops nothing.
 */
#ifndef BENCH_HELD_H
#define BENCH_HELD_H

#include <cstddef>

namespace bench
{

struct Held {
    double held; /* bytes that the allocator has taken and not given back */
    double live; /* bytes that the program asked for and still uses */
};

/* Runs in the child; `argument` is the case's own. */
using HeldWork = Held (*)(std::size_t argument);

/* Forks the helper. Once, before any thread, and before the program fills and frees memory of its own. */
void held_start();

/* Ends the helper and waits for it. Harmless if there is none, or in a process that is not its parent. */
void held_stop();

/* What `work(argument)` counted, or {0, 0} if its process failed. Each question is asked once and its answer kept. */
Held held_ask(HeldWork work, std::size_t argument);

} // namespace bench

#endif
