/* The helper process behind held.h. Questions are addresses of functions: the helper is a fork of this very image, so they mean
 * the same there. It ends when its end of the pipe does, which is when the program ends, however it ends.
 */
#include "held.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <utility>

#include "peers/peer.h"

namespace bench
{

namespace
{

struct Question {
    HeldWork work;
    std::size_t argument;
};

int question_fd = -1;
int answer_fd = -1;
pid_t helper = 0; /* known to its parent alone */

/* Both structs are smaller than PIPE_BUF, so a pipe moves them whole. */
template <class T> bool receive(int fd, T *value)
{
    return read(fd, value, sizeof *value) == static_cast<ssize_t>(sizeof *value);
}

template <class T> bool give(int fd, const T &value)
{
    return write(fd, &value, sizeof value) == static_cast<ssize_t>(sizeof value);
}

/* A limit in seconds on one child: a case that hangs must not hang the run. */
constexpr unsigned kSecondsAtMost = 60;

void answer(const Question &question, int to)
{
    const pid_t child = fork();
    if (child == 0) {
        alarm(kSecondsAtMost);
        _exit(give(to, question.work(question.argument)) ? 0 : 1);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
        give(to, Held{0, 0});
}

} // namespace

void held_start()
{
    int questions[2];
    int answers[2];
    if (pipe(questions) != 0 || pipe(answers) != 0)
        die("no pipe for the process that counts memory");
    const pid_t forked = fork();
    if (forked < 0)
        die("no process to count memory in");
    if (forked == 0) {
        close(questions[1]);
        close(answers[0]);
        Question question;
        while (receive(questions[0], &question))
            answer(question, answers[1]);
        _exit(0);
    }
    close(questions[0]);
    close(answers[1]);
    question_fd = questions[1];
    answer_fd = answers[0];
    helper = forked;
    std::signal(SIGPIPE, SIG_IGN); /* a helper that is gone is said in words: see held_ask */
    std::atexit(held_stop);        /* google-benchmark ends the program itself when it cannot go on */
}

void held_stop()
{
    if (helper <= 0)
        return;
    close(question_fd);
    waitpid(helper, nullptr, 0);
    helper = 0;
}

Held held_ask(HeldWork work, std::size_t argument)
{
    static std::map<std::pair<HeldWork, std::size_t>, Held> known;
    const auto found = known.find({work, argument});
    if (found != known.end())
        return found->second;
    Held held = {0, 0};
    if (!give(question_fd, Question{work, argument}) || !receive(answer_fd, &held))
        die("the process that counts memory is gone");
    return known[{work, argument}] = held;
}

} // namespace bench
